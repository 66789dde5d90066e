"""A short measurement of temporal reuse."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import onnx
import pytest
from tiny_networks import frames, middle_rho, session, tiny_model

from lc_trt.ir.interface import TOLERANCE
from tools import bench_reuse

SIZE = (48, 72)


def videos(folder: Path) -> list[str]:
    """A still video and one with a new image per frame, both lossless."""
    moving = frames(8, SIZE)
    for name, shown in (("still", [moving[0]] * 8), ("moving", moving)):
        (folder / name).mkdir()
        for number, image in enumerate(shown):
            cv2.imwrite(str(folder / name / f"{number}.png"), image)
    return [str(folder / "still"), str(folder / "moving")]


@pytest.mark.slow
def test_it_measures_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = tiny_model(), tmp_path / "found" / "reuse.json"
    onnx.save(source, tmp_path / "m.onnx")
    rho = ",".join(map(str, middle_rho(session(source), frames(1, SIZE))))
    words = ["--size", "48x72", "--rho", rho, "--backend", "onnxruntime", "--threads", "1"]
    command = ["bench", str(tmp_path / "m.onnx"), *videos(tmp_path), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*command, *words, "--tolerances", "0", str(TOLERANCE)])
    assert bench_reuse.main() == 0
    found = json.loads(out.read_text())
    still, moving = found["videos"]
    assert still["frames"] == moving["frames"] == 8
    assert still["labels_equal_to_the_frame_before"] == 1
    for row in still["rows"]:
        assert row["computed_of_hard"] == pytest.approx(1 / 8) and row["agreement"] == 1
        assert row["reused"] == pytest.approx(still["hard"] * 7 / 8, abs=1e-3)
        assert row["ceiling"] > 1
    assert moving["rows"][0]["computed_of_hard"] == 1
    assert moving["rows"][0]["agreement"] >= 0.999 and moving["rows"][0]["ceiling"] == 1
    assert str(tmp_path) not in found["command"] and "m.onnx" in found["command"]
    picture = cv2.imread(str(out.with_suffix(".png")))
    assert picture is not None and picture.std() > 1
    monkeypatch.setattr(bench_reuse, "REQUIRED", 1.1)
    assert bench_reuse.main() == 1
