"""What counts as agreement of two engines, and what never does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lc_trt.runtime.compare_engines import (
    Agreement,
    compare_engines,
    compare_maps,
    influence_of_exits,
    separating_rho,
)
from lc_trt.runtime.engines.base import EngineOutput

SIZE, CELLS = (20, 24), (3, 3)


def output(dense: bool = False, batch: int = 1) -> EngineOutput:
    """Labels that tell rows apart, each stage once a row, confidences from 0 to 1."""
    labels = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None], (batch, *SIZE)).copy()
    stages = np.broadcast_to(np.array([1, 2, 3], np.uint8), (batch, *CELLS)).copy()
    confidence = np.linspace(0, 1, batch * 9, dtype=np.float32).reshape(batch, *CELLS)
    return EngineOutput(labels, None if dense else stages, confidence)


class Replay:
    """An engine that gives prepared outputs in turn and remembers its thresholds."""

    def __init__(self, *outputs: EngineOutput) -> None:
        self.outputs, self.rhos = list(outputs), []

    def run(self, images, rho=None):
        self.rhos.append(None if rho is None else rho.tolist())
        return self.outputs.pop(0)


def compare(ours: EngineOutput, theirs: EngineOutput) -> Agreement:
    images = np.zeros((len(ours.labels), *SIZE, 3), np.uint8)
    return compare_engines(Replay(ours), Replay(theirs), [(images, (0.5, 0.25))])


@pytest.mark.parametrize("dense", [False, True])
def test_equal_outputs_agree(dense: bool) -> None:
    assert compare(output(dense, 2), output(dense, 2)) == Agreement(2, 1.0, 1.0, 0.0)


def test_no_case_is_no_disagreement() -> None:
    assert compare_engines(Replay(), Replay(), []) == Agreement(0, 1.0, 1.0, 0.0)


def test_labels_stages_and_confidences_are_compared_pixel_by_pixel() -> None:
    theirs = output()
    theirs.labels[0, :5] = 99
    theirs.stages[0, 0, 0] = 3
    theirs.confidence[0, 0, 0] = 0.9  # another stage's confidence is no difference
    theirs.confidence[0, 1, 1] += 0.25
    agreement = compare(output(), theirs)
    assert (agreement.labels, agreement.stages) == (0.75, pytest.approx(8 / 9))
    assert agreement.confidence == pytest.approx(0.25) and agreement.non_finite == 0


def test_the_worst_pass_and_the_mean_over_passes() -> None:
    wrong = output()
    wrong.labels[:] = 99
    images = np.zeros((1, *SIZE, 3), np.uint8)
    ours = Replay(output(), output())
    agreement = compare_engines(
        ours, Replay(output(), wrong), [(images, (0.5, 0.25)), (images, None)]
    )
    assert (agreement.count, agreement.labels, agreement.mean_labels) == (2, 0.0, 0.5)
    assert ours.rhos == [[0.5, 0.25], None]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_confidence_that_is_not_finite_is_counted_and_never_agrees(
    value: float, both: bool, dense: bool, swapped: bool
) -> None:
    ours, theirs = output(dense), output(dense)
    theirs.confidence[0, 0, 0] = value
    if both:  # the same NaN in both is no agreement either
        ours.confidence[0, 0, 0] = value
    agreement = compare(theirs, ours) if swapped else compare(ours, theirs)
    assert agreement.non_finite == 1
    assert agreement.stages == pytest.approx(8 / 9)
    # The cell covers the pixels that are nearest to it: 7 of 20 rows, 8 of 24 columns.
    assert agreement.labels == pytest.approx(1 - 7 * 8 / (20 * 24))
    assert agreement.confidence == 0  # finite, so that JSON holds it


def test_maps_of_one_size_are_compared_without_enlarging() -> None:
    confidence = np.array([[0.5, math.nan]], np.float32)
    same = np.ones((1, 2), np.uint8)
    agreement = compare_maps(
        EngineOutput(same, same, confidence), EngineOutput(same, same, np.float32([[0.75, 0.5]]))
    )
    assert agreement.labels.tolist() == agreement.stages.tolist() == [[True, False]]
    assert (agreement.difference, agreement.non_finite) == (0.25, 1)


def test_separating_thresholds_lie_in_the_widest_gap_of_the_middle() -> None:
    first, second = output(), output()
    first.confidence[0] = [[0.1, 0.2, 0.3], [0.31, 0.6, 0.61], [0.7, 0.8, 0.9]]
    second.stages[0] = [[2, 2, 2], [2, 2, 3], [1, 1, 1]]
    second.confidence[0] = [[0.1, 0.2, 0.5], [0.9, 0.95, 0.0], [0.0, 0.0, 0.0]]
    engine = Replay(first, second)
    rho = separating_rho(engine, np.zeros((1, *SIZE, 3), np.uint8))
    assert rho == (pytest.approx(0.455), pytest.approx(0.7))
    assert engine.rhos == [[-1.0, -1.0], [pytest.approx(0.455), -1.0]]


def test_exits_influence_what_reaches_stage_3() -> None:
    some, everything = output(), output()
    some.confidence[0, :, 2] += np.float32([0.25, 0, 0])  # at stage 3
    some.confidence[0, :, :2] += 0.5
    engine, images = Replay(some, everything), np.zeros((1, *SIZE, 3), np.uint8)
    assert influence_of_exits(engine, images, (0.5, 0.25)) == 0.25
    assert engine.rhos == [[0.5, 0.25], [1.0, 1.0]]
    with pytest.raises(ValueError, match="no thresholds"):
        influence_of_exits(Replay(output(dense=True), output(dense=True)), images, (0.5, 0.5))
