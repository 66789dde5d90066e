"""Reports of a run: the bar, lines of JSON, the summary."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_plant import curve
from terminals import screen
from toy_models import CLASSES, toy_manifest, toy_model
from toy_videos import write_video

from lc_trt.backends.load import open_onnx
from lc_trt.cli import run_report
from lc_trt.ir.interface import PixelWork
from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.governor.threshold_policy import FixedThresholds, ThresholdPolicy
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.video.base import Frame, Source
from lc_trt.video.pipeline import Stats
from lc_trt.video.sources.open import open_source

__all__ = ["screen"]
FIXED = FixedThresholds((0.9, 0.8))
PICTURE = np.full((48, 64, 3), 255, np.uint8)  # all of it leaves at stage 1


@pytest.fixture(scope="module")
def segment() -> Callable[[], Result]:
    segmenter = Segmenter(open_onnx("onnxruntime", toy_model(), threads=1), toy_manifest())
    return lambda: segmenter(PICTURE)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    with open_source(str(write_video(tmp_path / "v.avi", 2))) as opened:
        return opened


def test_the_bar_shows_rate_shares_and_drops(
    segment: Callable[[], Result], source: Source, screen: io.StringIO
) -> None:
    stats = Stats(expected=40, dropped=3)
    with run_report.reporter(False, FIXED) as report:
        for _ in range(2):
            stats.add(segment())
            stats.seconds += 0.1
            report.frame(stats, source, Frame(PICTURE, 0, "a", 0.0), segment())
    shown = screen.getvalue()
    for text in ("segmenting", "2/40", "10.0 fps", "stages 100% / 0% / 0%", "3 dropped"):
        assert text in shown
    assert "level" not in shown


def test_the_bar_shows_whether_a_rate_is_held(
    segment: Callable[[], Result], source: Source, screen: io.StringIO
) -> None:
    policy, stats = Governor(curve(), 25, tell=lambda line: None), Stats()
    with run_report.reporter(False, policy) as report:
        report.frame(stats, source, Frame(PICTURE, 0, "a", 0.0), segment())
    assert f"level {policy.level:.0%}" in screen.getvalue()
    for _ in range(100):
        policy.record(1.0)
    with run_report.reporter(False, policy) as report:
        report.frame(stats, source, Frame(PICTURE, 0, "a", 0.0), segment())
    assert "target missed" in screen.getvalue()


def printed(
    capsys: pytest.CaptureFixture[str],
    results: list[Result],
    source: Source,
    policy: ThresholdPolicy = FIXED,
) -> list[dict[str, object]]:
    """Lines of JSON of a run."""
    stats = Stats(seconds=2.0)
    with run_report.reporter(True, policy) as report:
        for number, result in enumerate(results):
            stats.add(result)
            report.frame(stats, source, Frame(PICTURE, number, f"f{number}", 0.04), result)
        report.end(stats, [source], [Path("a.mp4")], quiet=False)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_frame_is_a_line_of_json(
    segment: Callable[[], Result], source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    line, last = printed(capsys, [segment()], source)
    timing, areas = line.pop("timing_ms"), line.pop("areas")
    assert set(timing) == {"prepare", "engine", "finish", "total"}
    assert areas == {CLASSES[3]: 1}, "classes that are not there are left out"
    assert line == {
        "source": source.name, "frame": 0, "name": "f0", "time": 0.04, "shares": [1, 0, 0],
        "rho": [0.9, 0.8],
    }  # fmt: skip
    summary = last["summary"]
    assert (summary["frames"], summary["fps"], summary["outputs"]) == (1, 0.5, ["a.mp4"])
    assert summary["governor"] is None and "reused" not in summary


def test_reuse_and_a_held_rate_are_fields_of_their_own(
    segment: Callable[[], Result], source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    work = np.array([[PixelWork.COMPUTED, PixelWork.KEPT]], np.uint8)
    policy = Governor(curve(), 25, tell=lambda line: None)
    line, last = printed(capsys, [replace(segment(), cell_work=work)], source, policy)
    assert (line["computed"], line["reused"], line["target_held"]) == (0.5, 0.5, True)
    summary = last["summary"]
    assert (summary["computed"], summary["reused"]) == (0.5, 0.5)
    assert summary["governor"]["target_fps"] == 25


@pytest.mark.parametrize("quiet", [False, True])
def test_people_get_sentences_and_stdout_may_hold_something_else(
    segment: Callable[[], Result], source: Source, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    stats = Stats(seconds=4.0)
    stats.add(segment())
    with run_report.reporter(False, FIXED) as report:
        report.end(stats, [source], [Path("a.mp4")], quiet=quiet)
        empty = Stats()
        report.end(empty, [source], [], quiet=quiet)
    out, err = capsys.readouterr()
    shown = err if quiet else out
    assert (out if quiet else err) == ""
    assert shown.startswith("1 frame in 4.0 s (0.2 fps with reading, drawing and writing); ")
    assert "left at stage 1, 2, 3: 100% / 0% / 0%" in shown and "wrote a.mp4" in shown
    assert shown.endswith("0 frames, nothing written\n")
    assert shown.count("\n") == (2 if quiet else 4)
