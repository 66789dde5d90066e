"""The figure of exit rules: one curve per rule, and the oracle's dashes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lc_trt.errors import LcTrtError
from lc_trt.evaluation import exit_figure
from lc_trt.evaluation.exit_comparison import ExitComparison
from lc_trt.evaluation.exit_curves import ORACLE, ExitCurve, ExitPoint
from lc_trt.evaluation.figures import GREY
from lc_trt.model.exits import RULES


def curve(rule: str, height: float) -> ExitCurve:
    """Labels changed that fall from ``height`` percent to none as more cells go on."""
    points = []
    for passed in np.linspace(0, 1, 21).tolist():
        changed = height / 100 * (1 - passed) ** 2
        points.append(
            ExitPoint(passed, (1 - passed, 0, passed), passed, changed, 0.7 - changed / 2)
        )
    return ExitCurve(rule, tuple(points))


def comparison(*curves: ExitCurve) -> ExitComparison:
    return ExitComparison(
        "tiny", "largest", (), True, (64, 96), "street val", 3, curves, {}, "lc-trt eval"
    )


def pixels(path: Path, colour: str) -> np.ndarray:
    """(row, column) of each pixel of a colour above the legend."""
    picture = cv2.imread(str(path))
    assert picture is not None
    rgb = np.round(255 * np.array(to_rgb(colour)))[::-1]
    return np.argwhere((picture[: int(0.85 * len(picture))] == rgb).all(-1))


def test_every_rule_has_a_curve_of_its_colour(tmp_path: Path) -> None:
    path = tmp_path / "exits.png"
    curves = [curve(rule, 2.5 - 0.3 * i) for i, rule in enumerate(RULES)]
    exit_figure.write(path, comparison(*curves, curve(ORACLE, 0.2)))
    for colour in (*exit_figure.COLOURS[1:], GREY):  # black is the text's colour too
        assert len(pixels(path, colour)) > 100
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[1] > 1.5 * picture.shape[0]


def test_a_better_rule_lies_below(tmp_path: Path) -> None:
    path = tmp_path / "exits.png"
    exit_figure.write(path, comparison(curve("largest", 1), curve("margin", 2.5), curve("x", 0.5)))
    worse, better = (pixels(path, colour) for colour in exit_figure.COLOURS[1:3])
    assert len(worse) and len(better)
    assert worse[:, 0].min() < better[:, 0].min()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match=r"--plot .*none/exits\.png: cannot be written"):
        exit_figure.write(tmp_path / "none" / "exits.png", comparison(curve("largest", 1)))
