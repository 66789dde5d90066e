"""Redraws of a bound: on losses with a known result, and on a toy."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_backends import WrappedBackend
from fake_engine import FakeClock
from fake_plant import CostlyStages
from toy_models import SIZE, toy_bundle

from lc_trt.backends.registry import registered
from lc_trt.evaluation.risk_control import ConformalRiskControl, Empirical, LearnThenTest
from tools import check_bound


def rare(count: int, points: int = 26) -> np.ndarray:
    """Whole images that change or not, at a rate of 0.25, 0.24, ... 0 of them."""
    last = np.random.default_rng(0).integers(-74, points, count)
    return (np.arange(points) < last[:, None]).astype(np.float64)


@pytest.mark.parametrize("redraw", [check_bound.halves, check_bound.draws])
def test_the_loss_is_that_of_other_images_at_the_chosen_point(redraw) -> None:
    losses = np.tile([0.3, 0.1, 0.0], (40, 1))
    found = redraw(losses, ConformalRiskControl(0.2), 5)
    assert found.points.tolist() == [1] * 5 and found.losses == pytest.approx([0.1] * 5)
    assert found.summary(losses, 0.2) == {
        "mean_loss": pytest.approx(0.1),
        "standard_error": pytest.approx(0.0),
        "held": 1.0,
        "without_exits": 0.0,
    }
    assert redraw(losses, ConformalRiskControl(0.1), 5).summary(losses, 0.1)["without_exits"] == 1


def test_redraws_depend_on_the_seed() -> None:
    losses = rare(100)
    once, again, other = (
        check_bound.halves(losses, ConformalRiskControl(0.1), 20, seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(once.losses, again.losses)
    assert not np.array_equal(once.losses, other.losses)


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        (ConformalRiskControl(0.1), True),
        (LearnThenTest(0.1, 0.9), True),
        (Empirical(0.1), False),  # the choice by the plain mean, judged like the first
    ],
)
def test_the_verdict(control, expected: bool) -> None:
    losses = rare(100)
    divided, drawn = (
        {**redraw(losses, control, 400).summary(losses, 0.1), "redraws": 400}
        for redraw in (check_bound.halves, check_bound.draws)
    )
    assert check_bound.holds(control, divided, drawn) == expected


def test_a_bound_that_holds_too_rarely_is_none() -> None:
    divided = {"mean_loss": 0.0, "standard_error": 0.0, "held": 1.0, "redraws": 1000}
    control = LearnThenTest(0.1, 0.9)
    assert check_bound.holds(control, divided, {**divided, "held": 0.88})
    assert not check_bound.holds(control, divided, {**divided, "held": 0.86})


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (*SIZE, 3), np.uint8))
    return folder


def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    model = tmp_path / "toy.lct"
    if not model.exists():
        toy_bundle(model, backend="onnxruntime")
    given = ["check", str(model), "--images", str(tmp_path / "images"), "--threads", "1", *options]
    monkeypatch.setattr(sys, "argv", given)
    clock = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", clock)
    with registered(WrappedBackend("onnxruntime", alter=CostlyStages(clock))):
        return check_bound.main()


@pytest.mark.usefixtures("images")
def test_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    options = ("--max-changed", "20", "--grid", "3", "--redraws", "50", "--json", str(out))
    assert call(tmp_path, monkeypatch, *options) == 0
    found = json.loads(out.read_text())
    assert (found["images"], found["chosen_on"], found["path_images"]) == (32, 16, 8)
    assert found["holds"] and found["halves"]["redraws"] == 50
    assert 0.05 < found["halves"]["mean_loss"] <= 0.2
    assert found["loss"] == sorted(found["loss"], reverse=True)
    assert len(found["loss"]) == len(found["path"]) == len(found["shares"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("chosen on 16 images, measured on the other 16, 50 times: ")
    assert lines[-1] == "the promise holds"


@pytest.mark.usefixtures("images")
def test_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, code, message in (
        (("--max-changed", "2"), 1, "16 images in a half are too few for the limit; expected 49"),
        (("--max-changed", "0"), 2, "--max-changed 0: expected"),
        (("--max-changed", "20", "--redraws", "1"), 2, "--redraws 1: expected at least 2"),
    ):
        assert call(tmp_path, monkeypatch, *options) == code
        err = capsys.readouterr().err
        assert err.startswith("error: ") and message in err and err.count("\n") == 1
