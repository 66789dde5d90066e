"""The figure of a Pareto front has its points at the right places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_plant import tuned
from matplotlib.colors import to_rgb

from lc_trt.bundle.pareto_front import FrontPoint
from lc_trt.evaluation import tune_figure
from lc_trt.evaluation.figures import BLUE, VERMILION
from lc_trt.evaluation.pareto_search import Tuned


@pytest.fixture(scope="module")
def search() -> Tuned:
    """A front of 13 pairs, and two dominated ones."""
    front = tuned()
    worse = [replace(p, quality=p.quality - 0.2) for p in front.points[3:9:5]]
    return Tuned(front, (*front.points, *worse), 0.0)


def pixels(path: Path, colour: str) -> np.ndarray:
    """(row, column) of each pixel of a colour above the legend, which repeats it."""
    picture = cv2.imread(str(path))
    assert picture is not None
    rgb = np.round(255 * np.array(to_rgb(colour)))[::-1]
    return np.argwhere((picture[: int(0.85 * len(picture))] == rgb).all(-1))


def test_faster_is_to_the_left_and_better_is_up(search: Tuned, tmp_path: Path) -> None:
    path = tmp_path / "front.png"
    tune_figure.write(path, search)
    curve = pixels(path, VERMILION)
    left, right = curve[curve[:, 1].argmin()], curve[curve[:, 1].argmax()]
    assert right[1] - left[1] > 400 and left[0] - right[0] > 200
    # One blue disc per pair of the front.
    assert len(pixels(path, BLUE)) > 20 * len(search.front.points)


def test_dominated_pairs_are_drawn(search: Tuned, tmp_path: Path) -> None:
    """A point far below the others widens the axes, which flattens the curve."""
    low = FrontPoint((0.1, 0.1), 30.0, 30.0, 0.01, (1, 0, 0))
    heights = []
    for points in (search.points, (*search.points, low)):
        tune_figure.write(tmp_path / "front.png", replace(search, points=points))
        heights.append(np.ptp(pixels(tmp_path / "front.png", VERMILION)[:, 0]))
    assert heights[1] < 0.8 * heights[0]
