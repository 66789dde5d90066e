"""`lc-trt tune`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_backends import WrappedBackend
from fake_engine import FakeClock
from fake_plant import CostlyStages, tuned
from toy_models import SIZE, toy_bundle
from toy_videos import write_video

from lc_trt.backends.registry import registered
from lc_trt.bundle.bundle import read_bundle
from lc_trt.bundle.pareto_front import read_front, store_front
from lc_trt.cli.app import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a bundle, images and a video."""
    monkeypatch.chdir(tmp_path)
    toy_bundle(Path("toy.lct"), backend="onnxruntime")
    write_video(Path("v.mp4"), 30)
    Path("images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    cv2.imwrite("images/a.png", noise)
    return tmp_path


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Later stages of the toy take time and are right more often."""
    clock = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", clock)
    with registered(WrappedBackend("onnxruntime", alter=CostlyStages(clock))):
        yield


def call(*args: str) -> int:
    return main(["tune", "toy.lct", "--limit", "1", "--grid", "3", "--threads", "1", *args])


@pytest.mark.usefixtures("costly")
def test_a_table_and_a_picture(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--images", "images", "--plot", "front.png") == 0
    out, err = capsys.readouterr()
    front = read_front(read_bundle("toy.lct"))
    assert front is not None and len(front.points) > 2
    lines = [line.split() for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert [float(line[0]) for line in lines] == [p.rho[0] for p in front.points]
    assert "quality is labels equal to those of rho 1, over 1 images of images" in out
    assert err == "wrote front.png\n"
    picture = cv2.imread("front.png")
    assert picture is not None and picture.shape[1] == 1152
    assert sorted(p.name for p in here.iterdir()) == ["front.png", "images", "toy.lct", "v.mp4"]


@pytest.mark.usefixtures("costly")
def test_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--images", "images", "--rho", "0.8,0.7", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["top"] == [0.8, 0.7] and found["origin"] == "images" and found["images"] == 1
    assert len(found["measured"]) >= len(found["points"]) >= 2
    assert set(found["points"][0]) == {"rho", "ms", "measured_ms", "quality", "shares"}
    assert {"cpu", "threads"} <= set(found["environment"])
    # As a program then finds it in the bundle.
    front = read_front(read_bundle("toy.lct"))
    assert front is not None and [list(p.rho) for p in front.points] == [
        p["rho"] for p in found["points"]
    ]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "--images"),
        (["--images", "none"], 1, "none: no such file"),
        (["--images", "images", "--labels", "none"], 1, "--labels none: no such folder"),
        (["--images", "images", "--rho", "2"], 2, "--rho: rho [2.0]: expected"),
        (["--images", "images", "--rho", "0.1"], 2, "expected thresholds above the fast ones"),
        (["--images", "images", "--grid", "1"], 2, "--grid"),
        (["--images", "images", "--device", "cuda:0"], 2, "device cuda:0: expected cpu"),
        (["--images", "images", "--plot", "front.jpg"], 2, "front.jpg: unknown image format"),
        (
            ["--images", "images", "--plot", "no/front.png"],
            1,
            "--plot no/front.png: cannot be",
        ),
    ],
)
def test_errors_are_one_line_and_change_nothing(
    here: Path, capfd: pytest.CaptureFixture[str], args: list[str], code: int, message: str
) -> None:
    assert call(*args) == code
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    assert read_front(read_bundle("toy.lct")) is None
    assert sorted(p.name for p in here.iterdir()) == ["images", "toy.lct", "v.mp4"]


@pytest.fixture
def noise(here: Path) -> Path:
    """A folder of forty images, on which exits change half of 1 - rho of the labels."""
    (here / "noise").mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        cv2.imwrite(f"noise/{i}.png", rng.integers(0, 256, (*SIZE, 3), np.uint8))
    return here / "noise"


def bound(*args: str) -> int:
    command = ["tune", "toy.lct", "--images", "noise", "--grid", "3", "--threads", "1"]
    return main([*command, "--max-changed", "20", *args])


@pytest.mark.usefixtures("costly")
def test_a_bound_is_promised_and_shown(noise: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bound() == 0
    out, err = capsys.readouterr()
    manifest = read_bundle("toy.lct").manifest
    assert manifest.bound is not None
    assert err.startswith("warning: toy.lct: the fast thresholds 0.5,0.4 are not below the new")
    rho = f"{manifest.bound.rho[0]:g},{manifest.bound.rho[1]:g}"
    assert out.splitlines()[-1] == (
        f"toy.lct: default thresholds {rho} (were 0.9,0.8): {manifest.bound.summary}"
    )
    (chosen,) = [line.split()[1:] for line in out.splitlines() if line.startswith(" default")]
    assert [float(cell) for cell in chosen[:2]] == list(manifest.bound.rho)
    assert float(chosen[5]) == pytest.approx(100 * manifest.bound.measured, abs=1e-3)
    # What `lc-trt run` then uses, and what `inspect` says of it.
    assert main(["run", "toy.lct", "--source", "noise/0.png", "--json", "--save", "out.png"]) == 0
    used = json.loads(capsys.readouterr().out.splitlines()[0])["rho"]
    assert used == pytest.approx(manifest.bound.rho, abs=1e-5)
    assert main(["inspect", "toy.lct"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "at most 20 % of labels changed by early exit" in out and "32 images of noise" in out
    assert str(manifest.bound.rho) in out
    assert main(["inspect", "toy.lct", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)["manifest"]["bound"]
    assert stored["limit"] == 0.2 and stored["images"] == 32 and stored["created"][:2] == "20"


@pytest.mark.usefixtures("costly")
def test_a_bound_as_json(noise: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bound("--confidence", "0.8", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bound"]["confidence"] == 0.8 and found["before"] == [0.9, 0.8]
    assert found["candidates"][-1]["rho"] == [1.0, 1.0] and found["level"] == pytest.approx(0.2)
    assert set(found["candidates"][0]) == {"rho", "shares", "ms", "loss", "value"}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--max-changed", "1"], 1, "at least 109, 10 of which only serve to choose the cand"),
        (["--limit", "9"], 1, "9 images are too few for --max-changed 20"),
        (["--rho", "1"], 2, "--rho: does not go with --max-changed"),
        (["--plot", "a.png"], 2, "--plot: does not go with --max-changed"),
        (["--labels", "noise"], 2, "--labels: --max-changed needs no label maps; omit them"),
        (["--max-drop", "1"], 2, "--max-changed and --max-drop: expected one limit"),
        (["--images", "v.mp4", "--max-changed", "1"], 1, "v.mp4: 30 images are too few"),
    ],
)
def test_a_bound_that_cannot_be_had(
    noise: Path, capfd: pytest.CaptureFixture[str], args: list[str], code: int, message: str
) -> None:
    assert bound(*args) == code
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    assert read_bundle("toy.lct").manifest.bound is None


def test_inspect_shows_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "toy.lct", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tuning"] is None
    store_front(read_bundle("toy.lct"), tuned())
    assert main(["inspect", "toy.lct", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tuning"]["points"]) == len(tuned().points)
    assert main(["inspect", "toy.lct"]) == 0
    assert "13 pairs of thresholds, 10.3 to 49.8 fps" in capsys.readouterr().out
