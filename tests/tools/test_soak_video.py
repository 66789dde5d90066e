"""The soak of the streaming interface, short."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from toy_models import toy_bundle
from toy_videos import write_video

from tools import soak_video


def test_it_counts_frames_and_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = toy_bundle(tmp_path / "toy.lct", backend="onnxruntime").path
    video = write_video(tmp_path / "v.mp4", 7)
    monkeypatch.setattr(sys, "argv", ["soak", str(model), str(video), "--frames", "250"])
    monkeypatch.setattr(soak_video, "MOST_GROWTH", 9.0)  # so few frames show nothing
    assert soak_video.main() == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frames"] == 250 and found["threads_left"] == 0 and found["end_mb"] > 0
    monkeypatch.setattr(soak_video, "MOST_GROWTH", -9.0)
    assert soak_video.main() == 1
