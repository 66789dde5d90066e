"""A short soak of the video runtime."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
from toy_models import toy_bundle
from toy_videos import write_video

from tools import soak_video
from tools.soak_video import Soak


def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    model = toy_bundle(tmp_path / "toy.lct", backend="onnxruntime").path
    video = write_video(tmp_path / "v.mp4", 3)
    given = ["soak", "--model", str(model), "--video", str(video), "--threads", "1", *options]
    monkeypatch.setattr(sys, "argv", given)
    return soak_video.main()


@pytest.mark.slow
def test_it_counts_frames_memory_and_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak_video, "MOST_GROWTH", 9.0)  # so few frames show nothing
    out = tmp_path / "soak.json"
    options = ("--frames", "26", "--rho", "fast", "1,1", "--json", str(out))
    assert call(tmp_path, monkeypatch, *options) == 0
    result = json.loads(out.read_text())
    assert result["frames"] == 26 and not result["interrupted"] and result["rho"] == ["fast", "1,1"]
    assert [frames for frames, _ in result["memory_mb"]] == [*range(3, 25, 3), 26]
    assert len(result["threads"]) == 9
    assert result["threads_left"] == result["python_threads_left"] == 0
    # The last round, which stops within the video, is counted after its decoder has closed.
    assert result["threads"][-1] <= max(result["threads"][:-1])
    assert result["command"].startswith("python tools/soak_video.py --model")
    assert result["environment"]["versions"]
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("26 of 26 frames in ")
    monkeypatch.setattr(soak_video, "MOST_GROWTH", -9.0)
    assert call(tmp_path, monkeypatch, *options) == 1


def test_growth_is_measured_from_the_first_tenth_to_the_end() -> None:
    soak = Soak(memory=[(100 * i, 50.0 + 100 * (i > 1)) for i in range(1, 11)])
    assert soak.growth(1000) == pytest.approx(0)  # the first round of all grew, and may
    leaking = Soak(memory=[(100 * i, 100.0 + i) for i in range(1, 11)])
    assert leaking.growth(1000) == pytest.approx(109 / 102 - 1)
    assert Soak(memory=leaking.memory[:5]).growth(1000) is None


def test_threads_left_are_those_that_the_rounds_added() -> None:
    assert Soak(threads=[10, 10, 10, 11, 10, 10, 10]).threads_left() == 0
    assert Soak(threads=[10, 10, 10, 11, 12, 12, 12]).threads_left() == 2


def test_ctrl_c_reports_the_partial_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = soak_video.Soak.count

    def press(soak: Soak, frames: int) -> None:
        count(soak, frames)
        if len(soak.memory) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(soak_video.Soak, "count", press)
    assert call(tmp_path, monkeypatch, "--frames", "10000") == 130
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert result["interrupted"] and result["frames"] == 6 and result["wanted"] == 10000
    assert result["growth_after_warmup"] is None
    assert "6 of 10000 frames" in output.err and "too few rounds to tell" in output.err


@pytest.mark.slow
def test_an_onnx_is_built_at_the_size_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped network on a few frames."""
    more = ("--model", str(soak_video.MODEL), "--size", "64x96", "--frames", "3")
    assert call(tmp_path, monkeypatch, *more) == 1  # too few frames to tell
    assert json.loads(capsys.readouterr().out)["size"] == [64, 96]


def test_a_wrong_model_is_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path, monkeypatch, "--model", "none.lct") == 1
    assert capsys.readouterr().err.startswith("error: none.lct: no such bundle")
