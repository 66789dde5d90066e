"""The candidates for the default thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fake_backends import WrappedBackend
from fake_engine import FakeClock
from fake_plant import COST, CostlyStages
from hypothesis import given
from hypothesis import strategies as st
from toy_models import SIZE, toy_bundle

from lc_trt.backends.load import load
from lc_trt.backends.registry import registered
from lc_trt.evaluation.exit_path import (
    CANDIDATES,
    NO_EXIT,
    find_path,
    grid_thresholds,
    run_path,
)
from lc_trt.evaluation.pareto_search import AGREEMENT, label_without_exits
from lc_trt.runtime.segmenter import Segmenter


def noise(count: int) -> list[np.ndarray]:
    """Images in which confidences are even between 0 and 1, at each stage."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(count)]


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Segmenter]:
    """A cascade whose labels are the same at all stages."""
    with load(toy_bundle(tmp_path / "toy.lct", backend="onnxruntime").path, threads=1) as segmenter:
        yield segmenter


@pytest.fixture
def costly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Segmenter]:
    """The same, where half of what exits at stage 1 is mislabelled, on a clock of its own."""
    clock = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", clock)
    bundle = toy_bundle(tmp_path / "costly.lct", backend="onnxruntime")
    with (
        registered(WrappedBackend("onnxruntime", alter=CostlyStages(clock))),
        load(bundle.path, threads=1) as segmenter,
    ):
        yield segmenter


@given(st.integers(2, 9), st.floats(0.02, 1))
def test_each_threshold_passes_on_twice_as_many_cells(count: int, power: float) -> None:
    confidences = (np.arange(1, 10_001) / 10_001) ** power
    found = grid_thresholds(confidences.astype(np.float32), count)
    assert found == sorted(found) and (found[0], found[-1]) == (0.0, 1.0)
    shares = [float((confidences <= rho).mean()) for rho in found[1:-1]]
    assert shares == pytest.approx([0.5**k for k in range(count - 2, 0, -1)], abs=2e-3)


def test_equal_confidences_give_one_threshold() -> None:
    assert grid_thresholds(np.full(100, 0.25, np.float32), 7) == [0.0, 0.25, 1.0]
    assert grid_thresholds(np.ones(100, np.float32), 7) == [0.0, 1.0]
    assert grid_thresholds(np.empty(0, np.float32), 7) == [0.0, 1.0]


@pytest.mark.parametrize("aim", [0.02, 0.1])
def test_candidates_lie_around_the_loss_aimed_at(costly: Segmenter, aim: float) -> None:
    images = noise(12)
    samples = label_without_exits(costly, images)
    path = find_path(costly, samples, AGREEMENT, aim, 7)
    assert path.rhos[-1] == NO_EXIT and 5 < len(path.rhos) <= CANDIDATES + 1
    for before, after in pairwise(path.rhos):
        assert before != after and before[0] <= after[0] and before[1] <= after[1]
    measured = [results for _, results in run_path(costly, enumerate(images), path.rhos)]
    losses = [
        float(np.mean([results[k].labels != results[-1].labels for results in measured]))
        for k in range(len(path.rhos))
    ]
    # Geometric between a quarter and twice of it, as far as 1540 pixels and a grid of 7 tell.
    assert 1.3 * aim < losses[0] < 3 * aim and losses[-1] == 0
    assert 0.1 * aim < losses[-2] < 0.5 * aim
    assert sum(loss > 0 for loss in losses) > 5
    assert (np.diff(losses) <= 1e-12).all()


def test_the_times_of_the_path_are_those_of_the_stages(costly: Segmenter) -> None:
    path = find_path(costly, label_without_exits(costly, noise(1)), AGREEMENT, 0.1, 5)
    assert path.cost == pytest.approx(COST, rel=1e-3) and path.uneven < 1e-3
    assert path.ms((0.5, 0.3, 0.2)) == pytest.approx(COST[0] + 0.5 * COST[1] + 0.2 * COST[2])


def test_where_exits_change_nothing_the_cheapest_thresholds_are_the_candidate(
    plain: Segmenter,
) -> None:
    path = find_path(plain, label_without_exits(plain, noise(1)), AGREEMENT, 0.1, 3)
    assert path.rhos == ((0.0, 0.0), NO_EXIT)


def test_images_run_in_full_batches(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "two.lct", batch=2, backend="onnxruntime")
    rhos = ((0.3, 0.6), (0.7, 0.2), NO_EXIT)
    images = noise(5)
    with load(bundle.path, threads=1) as segmenter:
        found = list(run_path(segmenter, zip("abcde", images, strict=True), rhos))
        assert [key for key, _ in found] == list("abcde")
        for image, (_, results) in zip(images, found, strict=True):
            assert [r.rho for r in results] == list(rhos)
            for result in results:
                alone = segmenter(image, result.rho)
                assert np.array_equal(result.labels, alone.labels)
                assert result.shares == alone.shares
