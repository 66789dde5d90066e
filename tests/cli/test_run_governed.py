"""`lc-trt run --target-fps`, on a front as `lc-trt tune` stores it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_plant import tuned
from toy_models import toy_bundle
from toy_videos import write_video

from lc_trt.bundle.bundle import read_bundle
from lc_trt.bundle.pareto_front import store_front
from lc_trt.cli.app import main
from lc_trt.runtime.governor import governor


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a bundle and a video."""
    monkeypatch.chdir(tmp_path)
    toy_bundle(Path("toy.lct"), backend="onnxruntime")
    write_video(Path("v.mp4"), 30)
    return tmp_path


def run(*args: str) -> int:
    return main(["run", "toy.lct", "-s", "v.mp4", "--threads", "1", *args])


def test_a_governed_run_reports(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_front(read_bundle("toy.lct"), tuned())
    assert run("--target-fps", "20", "--json") == 0
    *lines, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(lines) == 30 and all(line["target_held"] for line in lines)
    # The toy is far quicker than the front says: after a few passes all quality is there.
    assert lines[0]["rho"] != lines[-1]["rho"] == [0.995, 0.995]
    found = last["summary"]["governor"]
    assert found.pop("mean_level") > 0.5
    assert found == {
        "target_fps": 20, "held": 1, "episodes": 0, "fast": [0.35, 0], "quality": [0.995, 0.995],
    }  # fmt: skip
    assert run("--target-fps", "20", "--rho", "0.9", "-o", "o.mp4") == 0
    out = capsys.readouterr().out
    assert "20 frames per second held for 100% of the frames, " in out


def test_a_target_out_of_reach_is_said_once(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_front(read_bundle("toy.lct"), tuned())
    write_video(Path("v.mp4"), 600, (16, 16))
    monkeypatch.setattr(governor, "HOLD_OFF", 0.02)  # seconds; the toy's passes are short
    assert run("--target-fps", "10000", "--json") == 0
    out, err = capfd.readouterr()
    warned = [line for line in err.splitlines() if line.startswith("warning: ")]
    *lines, last = map(json.loads, out.splitlines())
    found = last["summary"]["governor"]
    assert len(warned) == found["episodes"] == 1
    assert warned[0].startswith(
        "warning: 10000 frames per second cannot be held: the network reaches"
    )
    assert found["held"] < 1 and not lines[-1]["target_held"] and lines[0]["target_held"]


def test_a_run_without_a_target_says_nothing_of_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--json", "--frames", "2") == 0
    *lines, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert "target_held" not in lines[0] and lines[0]["rho"] == [0.9, 0.8]
    assert last["summary"]["governor"] is None


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--target-fps", "20"], 1, "no Pareto front of thresholds; measure one: "),
        (["--target-fps", "0"], 2, "--target-fps"),
        (["--target-fps", "20", "--rho", "2"], 2, "rho 2: expected"),
    ],
)
def test_targets_that_make_no_sense(
    here: Path, capfd: pytest.CaptureFixture[str], args: list[str], code: int, message: str
) -> None:
    assert run(*args) == code
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    assert sorted(p.name for p in here.iterdir()) == ["toy.lct", "v.mp4"]
