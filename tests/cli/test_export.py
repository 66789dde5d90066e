"""`lc-trt export`."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from failing_commands import failure

from lc_trt.cli import app
from lc_trt.ir.metadata import read_info
from lc_trt.model import presets
from lc_trt.training.checkpoint import save_weights

pytestmark = pytest.mark.usefixtures("tiny_preset")


def test_a_checkpoint_brings_its_network_and_classes(tmp_path, capsys):
    torch.manual_seed(3)
    trained = presets.build_cascade("tiny", 3)
    weights = tmp_path / "w.safetensors"
    facts = {
        "preset": "tiny", "heads": "plain", "classes": "3", "val_miou": 0.5,
        "config": {"data": {"root": "somewhere"}, "imagenet": "w.pth", "batch": 2},
    }  # fmt: skip
    save_weights(weights, trained, facts)
    path = tmp_path / "m.onnx"
    assert app.main(["export", "--checkpoint", str(weights), "-o", str(path)]) == 0
    assert "trained" in capsys.readouterr().out
    written = onnx.load(path)
    info = read_info(written)
    assert info.trained["val_miou"] == 0.5 and info.trained["config"] == {"data": {}, "batch": 2}
    exported = {t.name: onnx.numpy_helper.to_array(t) for t in written.graph.initializer}
    first = trained.stages[0][0].conv.weight.detach().numpy()
    assert np.array_equal(exported["stage1/0/weight"], first)
    assert app.main(["export", "--checkpoint", str(weights), "--half", "-o", str(path)]) == 0
    assert app.main(["inspect", str(path)]) == 0


def test_dense_exports(tmp_path, capsys):
    for arguments in (["--preset", "tiny", "--dense"], ["--preset", "vgg16"]):
        path = tmp_path / "d.onnx"
        assert app.main(["export", *arguments, "--classes", "2", "-o", str(path)]) == 0
        assert read_info(onnx.load(path)).kind == "dense"


def test_a_peer_is_plain_onnx_and_the_build_that_takes_it_is_shown(tmp_path, capsys):
    path = tmp_path / "p.onnx"
    assert app.main(["export", "--preset", "ddrnet-23-slim", "-o", str(path)]) == 0
    captured = capsys.readouterr()
    assert "dense ddrnet-23-slim, 21 classes, random weights" in captured.out
    assert f"lc-trt build {path} --classes NAME --size HxW" in " ".join(captured.err.split())
    assert read_info(onnx.load(path)) is None


def test_export_refuses_what_it_cannot_do(tmp_path, capsys):
    out = tmp_path / "m.onnx"
    cases = [
        (["--preset", "nothing"], 2, "unknown preset 'nothing'"),
        ([], 2, "no network: give --preset"),
        (["--preset", "tiny", "--size", "big"], 2, "--size 'big': expected HxW"),
        (["--preset", "tiny", "--rho", "2"], 2, "--rho"),
        (["--preset", "tiny", "--heads", "round"], 2, "head form 'round'"),
        (["--checkpoint", str(tmp_path / "no.safetensors")], 1, "no such file"),
    ]
    for arguments, expected, message in cases:
        code, line = failure(capsys, "export", *arguments, "-o", out)
        assert (code, message in line) == (expected, True), line
    assert not out.exists()
