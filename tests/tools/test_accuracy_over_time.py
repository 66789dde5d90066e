"""Accuracy over time: a whole run on small networks."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import onnx
import pytest
from tiny_networks import CLASSES, INFO, frames, tiny_model


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    path = repository / "tools" / "accuracy_over_time.py"
    spec = importlib.util.spec_from_file_location("accuracy_over_time", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["accuracy_over_time"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_network_has_a_point_per_size(tool: ModuleType, tmp_path: Path) -> None:
    size = INFO.size
    for kind in ("images", "labels"):
        (tmp_path / "val" / kind).mkdir(parents=True)
    labels = np.random.default_rng(0).integers(0, CLASSES, (3, *size)).astype(np.uint8)
    for i, (image, label) in enumerate(zip(frames(3, size), labels, strict=True)):
        cv2.imwrite(str(tmp_path / f"val/images/{i}.png"), image)
        cv2.imwrite(str(tmp_path / f"val/labels/{i}.png"), label)
    onnx.save(tiny_model(), str(tmp_path / "model.onnx"))
    out = tmp_path / "result.json"
    sizes = ["48x72", "32x48"]
    tool.main(
        [
            *(str(tmp_path / "model.onnx"), "--data", str(tmp_path), "--backend", "onnxruntime"),
            *("--sizes", *sizes, "--rounds", "4", "--out", str(out)),
        ]
    )
    points = json.loads(out.read_text())["points"]
    networks = [tool.CASCADE, tool.CASCADE_FAST, tool.DENSE]
    assert [(p["network"], "x".join(map(str, p["size"]))) for p in points] == [
        (network, text) for text in sizes for network in networks
    ]
    for point in points:
        assert len(point["times"]) == 4
        assert point["ms"] == pytest.approx(np.median(point["times"]), abs=0.01)
        assert (point["changed"] is None) == (point["network"] == tool.DENSE)
    picture = cv2.imread(str(out.with_suffix(".png")))
    assert picture is not None and picture.std() > 1


def test_a_peer_is_a_name_and_a_file(tool: ModuleType) -> None:
    assert tool.arguments(["m.onnx", "--data", "d", "--peer", "A=b.onnx"]).peer == [
        ("A", Path("b.onnx"))
    ]
    with pytest.raises(SystemExit):
        tool.arguments(["m.onnx", "--data", "d", "--peer", "b.onnx"])
