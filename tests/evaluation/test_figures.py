"""Figures of an evaluation: colours, series and points."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from toy_evaluations import STREET, VOC, evaluation, points

from lc_trt.data import published
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation import figures
from lc_trt.evaluation.pictures import STAGE_COLOURS, Picture


def drawn(png: bytes) -> np.ndarray:
    """RGB uint8 [H, W, 3]."""
    assert png.startswith(b"\x89PNG")
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image[:, :, ::-1]


def holds(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(-1).sum())


def test_exit_stages_of_classes_are_drawn() -> None:
    stages = evaluation(STREET).stages
    assert stages is not None
    image = drawn(figures.left_by_class(stages, STREET))
    one, two, three = (holds(image, colour) for colour in STAGE_COLOURS)
    # A quarter of each bar is stage 1's, three are stage 3's; stage 2 has its legend alone.
    assert three / one == pytest.approx(3, rel=0.2)
    assert 0 < two < one / 4


def test_the_same_figures_are_the_same_bytes() -> None:
    assert figures.curve(points()) == figures.curve(points())


@pytest.mark.parametrize("grid", [False, True])
def test_published_points_are_a_separate_series(
    monkeypatch: pytest.MonkeyPatch, grid: bool
) -> None:
    saved: list[Figure] = []
    write = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (saved.append(self), write(self, *a, **k))
    )
    figures.curve(points(grid))
    ((axes,),) = (figure.axes for figure in saved)
    lines = {line.get_label(): line for line in axes.lines}
    ours = lines["measured, one threshold"]
    assert list(ours.get_ydata()) == [100 * p.miou for p in points()]
    assert list(ours.get_xdata()) == [p.ms_per_image for p in points()]
    theirs = lines["published: VOC12 val, on a GPU"]
    assert list(zip(theirs.get_xdata(), theirs.get_ydata(), strict=True)) == list(
        published.SPEEDS.values()
    )
    assert ours.get_color() != theirs.get_color()
    assert ("measured, two thresholds" in lines) == grid
    if grid:
        assert len(lines["measured, two thresholds"].get_xdata()) == 64 - 8


def test_all_figures_draw_without_a_warning() -> None:
    stages = evaluation(VOC).stages
    assert stages is not None
    panel = np.zeros((30, 40, 3), np.uint8)
    for png in (
        figures.curve(points()),
        figures.curve(points(True)),
        figures.grid(points(True)),
        figures.left_by_class(stages, VOC),
        figures.boundary(stages),
        figures.panels(Picture("a", (("frame", panel),) * 7, tuple(range(21))), VOC),
        figures.panels(Picture("a", (("frame", panel),) * 3, (0, 2)), STREET),
    ):
        image = drawn(png)
        assert (image[0, 0] == 255).all()
        assert image.std() > 5


def test_an_unwritable_path_is_refused_first(tmp_path: Path) -> None:
    figures.check_plot(tmp_path / "front.PNG")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match=r"--plot front\.jpg: unknown image format, expected"):
        figures.check_plot(Path("front.jpg"))
    with pytest.raises(LcTrtError, match=r"--plot .*none/front\.png: cannot be written"):
        figures.check_plot(tmp_path / "none" / "front.png")
