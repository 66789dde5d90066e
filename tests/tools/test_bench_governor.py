"""The governor bench on a toy: records, verdict and figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fake_plant import tuned
from toy_models import toy_bundle
from toy_videos import write_video

from lc_trt.bundle.bundle import read_bundle
from lc_trt.bundle.pareto_front import store_front
from tools import bench_governor
from tools.bench_governor import Phase, Trace


def prepare(model: Path, video: Path, bundle: Path) -> None:
    """Replaces build and tuning."""
    bundle.parent.mkdir()
    store_front(toy_bundle(bundle, backend="onnxruntime"), tuned())
    assert read_bundle(bundle)


@pytest.mark.slow
def test_the_bench_measures_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = tmp_path / "work", tmp_path / "found.json"
    model = tmp_path / "toy" / "model.onnx"

    monkeypatch.setattr(bench_governor, "prepare", prepare)
    monkeypatch.setattr(bench_governor, "PHASES", (Phase("a", 0), Phase("b", 1, reachable=False)))
    monkeypatch.setattr(bench_governor, "REACTION", 0.1)
    monkeypatch.setattr(bench_governor, "SETTLED", 0.0)
    video = write_video(tmp_path / "v.mp4", 70)
    arguments = ["--model", model, "--video", video, "--work", work, "--out", out]
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments), "--seconds", "0.4"])
    bench_governor.main()
    found = json.loads(out.read_text())
    assert found["model"] == "toy" and found["video"] == "v.mp4" and found["target_fps"] > 0
    assert {"cpu", "nice", "real_time", "load_before"} <= set(found["environment"])
    for name in ("ungoverned", "governed"):
        assert [row["phase"] for row in found[name]["phases"]] == ["a", "b"]
        lengths = {len(column) for column in found[name]["trace"].values()}
        assert len(lengths) == 1 and lengths.pop() > 1
    assert found["governed"]["summary"]["target_fps"] == found["target_fps"]
    picture = cv2.imread(str(out.with_suffix(".png")))
    assert picture is not None and picture.shape[:2] == (896, 1280)
    # It has curves and not only frames: many colours.
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    assert "one frame, alone: " in capsys.readouterr().out


@pytest.mark.parametrize("held", [True, False])
def test_the_exit_code_says_whether_the_rate_was_held(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    held: bool,
) -> None:
    """With results at given times: 10 or 5 frames per second."""
    at = np.arange(0, 8, 0.1 if held else 0.2).tolist()
    trace = Trace(at, [1.0] * len(at), [0.5] * len(at), [(0.5, 0.5)] * len(at))

    def run(segmenter: Any, frames: Any, seconds: float, governor: Any, *_: Any) -> Trace:
        for _pass in range(3 if governor else 0):
            governor.record(10.0)  # the phase with too many
        return trace

    monkeypatch.setattr(bench_governor, "prepare", prepare)
    monkeypatch.setattr(bench_governor, "PHASES", (Phase("a", 0), Phase("b", 0)))
    monkeypatch.setattr(bench_governor, "target", lambda *_: 10.0)
    monkeypatch.setattr(bench_governor, "run", run)
    video, out = write_video(tmp_path / "v.mp4", 70), tmp_path / "found.json"
    arguments = ["--video", video, "--work", tmp_path / "work", "--out", out, "--seconds", "4"]
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    assert bench_governor.main() == (0 if held else 1)
    missed = json.loads(out.read_text())["missed"]
    assert [text[:1] for text in missed] == ([] if held else ["a", "b"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == ("10.0 FPS held as guaranteed" if held else missed[-1])


def found(fps: list[float], episodes: int = 1, swing: float = 0.05) -> dict[str, Any]:
    rows = [
        {"phase": phase.name, "fps": rate}
        for phase, rate in zip(bench_governor.PHASES, fps, strict=True)
    ]
    governed = {"phases": rows, "summary": {"episodes": episodes}}
    return {"target_fps": 20.0, "governed": governed, "steady": {"swing": swing}}


def test_the_judge() -> None:
    good = [20.4, 19.5, 20.2, 3.0, 20.6]
    assert bench_governor.judge(found(good)) == []
    assert bench_governor.judge(found([18.0, *good[1:]])) == ["alone: 18.0 FPS, expected 20.0"]
    assert "cannot be held" in bench_governor.judge(found(good, episodes=0))[0]
    assert "varies by 20%" in bench_governor.judge(found(good, swing=0.2))[0]


def test_figures_and_rates() -> None:
    seconds, trace = 4.0, Trace()
    for number in range(len(bench_governor.PHASES)):
        rate = 10.0 * (number + 1)
        trace.at += [number * seconds + k / rate for k in range(int(seconds * rate))]
        trace.level += [number / 10] * int(seconds * rate)
    rows = bench_governor.figures(trace, seconds)
    assert [row["fps"] for row in rows] == pytest.approx([10, 20, 30, 40, 50], abs=0.5)
    assert [row["level"] for row in rows] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    ends, found = bench_governor.rates(np.array(trace.at))
    assert found[ends < 3.9] == pytest.approx(10, abs=1)
    assert found[ends > 18] == pytest.approx(50, abs=1)
    assert bench_governor.swing(trace) == pytest.approx(0.4)


def test_busy_processes_end_with_their_block(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    make = subprocess.Popen

    def popen(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(make(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(bench_governor.subprocess, "Popen", popen)
    with pytest.raises(RuntimeError), bench_governor.busy(2):
        assert [process.poll() for process in started] == [None, None]
        raise RuntimeError
    assert all(process.poll() is not None for process in started)
