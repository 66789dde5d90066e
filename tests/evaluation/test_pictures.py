"""Output of each stage for an image, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from lc_trt.data.datasets import Sample
from lc_trt.evaluation.pictures import STAGE_COLOURS, WIDTH, picture
from lc_trt.runtime.result import Result

COLOURS = ((200, 0, 0), (0, 200, 0), (0, 0, 200))  # RGB
SIZE = (16, 24)


def result(labels: np.ndarray, cells: np.ndarray | None, frame: np.ndarray) -> Result:
    return Result(
        labels=labels,
        shares=None if cells is None else (0.5, 0.25, 0.25),
        rho=None,
        timing={},
        classes=("a", "b", "c"),
        colours=COLOURS,
        frame=frame,
        engine_size=SIZE,
        cell_stages=cells,
        cell_confidence=np.zeros((2, 3), np.float32),
    )


@pytest.fixture
def sample() -> Sample:
    rng = np.random.default_rng(0)
    label = np.zeros(SIZE, np.uint8)
    label[:, 12:] = 1
    label[:4] = 255
    return Sample("a", rng.integers(0, 256, (*SIZE, 3), np.uint8), label)


def test_each_stage_shows_its_own_labels(sample: Sample) -> None:
    labels = np.where(np.arange(24) < 8, 0, 2).astype(np.uint8)[None].repeat(16, 0)
    cells = np.array([[1, 2, 3], [1, 1, 3]], np.uint8)
    found = picture(sample, result(labels, cells, sample.image))
    titles = [title for title, _ in found.panels]
    assert titles == [
        "frame",
        "ground truth",
        "labelled by stage 1 (50 %)",
        "labelled by stage 2 (25 %)",
        "labelled by stage 3 (25 %)",
        "all labels",
        "exit stage",
    ]
    panels = [panel for _, panel in found.panels]
    assert np.array_equal(panels[0], sample.image[:, :, ::-1])
    stages = cells.repeat(8, 0).repeat(8, 1)
    coloured = np.array(COLOURS, np.uint8)[labels]
    assert np.array_equal(panels[5], coloured)
    for stage in (1, 2, 3):
        here = stages == stage
        assert np.array_equal(panels[1 + stage][here], coloured[here])
        elsewhere = panels[1 + stage][~here]
        assert (elsewhere[:, 0] == elsewhere[:, 2]).all(), "grey"
        assert elsewhere.min() >= 165, "pale"
    for stage, colour in enumerate(STAGE_COLOURS, start=1):
        shown = panels[6][stages == stage].mean(0)  # over a pale frame of about 208
        assert shown == pytest.approx(0.65 * np.array(colour) + 0.35 * 208, abs=8)
    assert found.present == (0, 1, 2)


def test_void_has_no_class_colour(sample: Sample) -> None:
    truth = picture(sample, result(np.zeros(SIZE, np.uint8), None, sample.image)).panels[1][1]
    assert (truth[4:, :12] == COLOURS[0]).all() and (truth[4:, 12:] == COLOURS[1]).all()
    assert {tuple(pixel) for pixel in truth[:4].reshape(-1, 3).tolist()} == {
        (255,) * 3, (190,) * 3,
    }  # fmt: skip


def test_a_dense_network_has_three_panels(sample: Sample) -> None:
    found = picture(sample, result(np.zeros(SIZE, np.uint8), None, sample.image))
    assert [title for title, _ in found.panels] == ["frame", "ground truth", "labels"]
    assert found.present == (0, 1)


def test_a_wide_image_is_shrunk() -> None:
    size = (300, 1000)
    wide = Sample("w", np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8))
    labels = np.ones(size, np.uint8)
    found = picture(wide, result(labels, np.ones((2, 3), np.uint8), wide.image))
    assert {panel.shape for _, panel in found.panels} == {(144, WIDTH, 3)}
