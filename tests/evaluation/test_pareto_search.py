"""The thresholds that are measured, their modelled times, and the stored front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_backends import WrappedBackend
from fake_engine import FakeClock, FakeEngine, random_levels
from fake_plant import COST, CostlyStages
from hypothesis import given
from hypothesis import strategies as st
from recording_monitor import RecordingMonitor
from toy_models import DEFAULT_RHO, FAST_RHO, SIZE, toy_bundle

from lc_trt.backends.load import load
from lc_trt.backends.registry import registered
from lc_trt.bundle.bundle import read_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.pareto_front import FrontPoint, read_front
from lc_trt.data.datasets import Sample
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation import pareto_search as tune
from lc_trt.evaluation.pareto_search import AGREEMENT, MIOU, Options
from lc_trt.runtime.segmenter import Segmenter


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return toy_bundle(tmp_path / "toy.lct", backend="onnxruntime").path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Noise, so that every threshold divides the pixels, and label maps."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for name in "abc":
        picture = rng.integers(64, 256, (*SIZE, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), picture)
        cv2.imwrite(str(tmp_path / "labels" / f"{name}.png"), picture[..., 2] // 64)
    return tmp_path / "images"


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Later stages of the toy take time and are right more often."""
    clock = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", clock)
    with registered(WrappedBackend("onnxruntime", alter=CostlyStages(clock))):
        yield


@pytest.mark.usefixtures("costly")
@pytest.mark.parametrize("labelled", [False, True])
def test_the_front_is_stored_and_can_be_governed(
    bundle: Path, images: Path, labelled: bool
) -> None:
    labels = images.parent / "labels" if labelled else None
    before = read_bundle(bundle).manifest
    found = tune.tune(bundle, images, Options(labels, limit=2, grid=4, threads=1))
    stored = read_front(read_bundle(bundle))
    assert stored == replace(found.front, points=stored.points if stored else ())
    assert stored is not None
    assert [p.rho for p in stored.points] == [p.rho for p in found.front.points]
    assert stored.measure == (MIOU if labelled else AGREEMENT)
    assert stored.images == 2 and stored.origin == "images" and stored.top == DEFAULT_RHO
    assert stored.points[0].rho == FAST_RHO
    assert len(found.points) == 16 and found.uneven < 1e-3
    # Every point that was left out is beaten by one that was not.
    for point in found.points:
        assert any(p.ms <= point.ms and p.quality >= point.quality for p in stored.points)
    for name, value in before.files.items():
        assert read_bundle(bundle).manifest.files[name] == value
    with load(bundle, threads=1) as segmenter:
        assert segmenter.govern(25).curve.points[0].rho == FAST_RHO


def test_missing_labels_are_named(bundle: Path, images: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for options, source, message in (
        (Options(empty), images, r"a\.png: no such file; expected the label map"),
        (Options(tmp_path / "none"), images, "--labels .*no such folder"),
        (Options(images.parent / "labels"), empty, "no images in it"),
        (Options(images.parent / "labels"), images / "a.png", "--images .*no such folder"),
        (Options(), tmp_path / "none.mp4", "no such file"),
    ):
        with pytest.raises(LcTrtError, match=message):
            tune.tune(bundle, source, options)
    for name in "abc":  # all void
        cv2.imwrite(str(images.parent / "labels" / f"{name}.png"), np.full(SIZE, 255, np.uint8))
    with pytest.raises(LcTrtError, match="no labelled pixel"):
        tune.tune(bundle, images, Options(images.parent / "labels", limit=1, grid=2))
    assert read_front(read_bundle(bundle)) is None


def test_thresholds_that_change_nothing(bundle: Path, images: Path) -> None:
    # The toy's labels are the same at every stage.
    with pytest.raises(LcTrtError, match=r"no thresholds up to .* are slower and better"):
        tune.tune(bundle, images, Options(limit=1, grid=2, threads=1))
    assert read_front(read_bundle(bundle)) is None


def test_unsuitable_models_are_refused(bundle: Path, images: Path, tmp_path: Path) -> None:
    dense = toy_bundle(tmp_path / "dense.lct", "dense", backend="onnxruntime").path
    with pytest.raises(UsageError, match="dense network has no thresholds"):
        tune.tune(dense, images, Options())
    with pytest.raises(UsageError, match="expected thresholds above the fast ones"):
        tune.tune(bundle, images, Options(top=(0.4, 0.9)))
    with pytest.raises(LcTrtError, match="no such bundle"):
        tune.tune(tmp_path / "none.lct", images, Options())


def test_progress_reaches_its_total(bundle: Path, images: Path, costly: None) -> None:
    monitor = RecordingMonitor()
    tune.tune(bundle, images, Options(limit=2, grid=3, threads=1), monitor=monitor)
    assert monitor.phases == {
        "running at rho 1": (2, 2),
        "choosing thresholds": (2, 2),
        "sweeping": (27, 27),
    }


class Frames:
    """Numbered frames without labels."""

    classes = 3

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Sample:
        return Sample(str(i), np.full((64, 96, 3), i, np.uint8), np.zeros((64, 96), np.uint8))

    def __iter__(self):
        return (self[i] for i in range(len(self)))


@pytest.mark.parametrize("grid", [2, 3, 7])
def test_thresholds_divide_the_pixels_evenly(grid: int) -> None:
    levels = [0.4 + 0.6 * level for level in random_levels(4, (1, 8, 12))]
    manifest = Manifest(
        "fake", "1", "cascade", "fake", "", ("a", "b", "c"), ((0, 0, 0),) * 3, (64, 96),
        default_rho=(0.9, 0.9), fast_rho=(0.5, 0.0),
    )  # fmt: skip
    segmenter = Segmenter(FakeEngine(levels, shape=(1, 64, 96)), manifest)
    found = tune.choose_pairs(segmenter, Frames(), (0.5, 0.0), (0.9, 0.9), grid)
    ones, twos = (sorted({pair[k] for pair in found}) for k in (0, 1))
    assert len(ones) == len(twos) == grid and len(found) == grid**2
    assert (ones[0], ones[-1], twos[0], twos[-1]) == (0.5, 0.9, 0.0, 0.9)
    confidence = np.concatenate([level[0].ravel() for level in levels])
    steps = np.diff([(confidence > one).mean() for one in ones])
    assert steps == pytest.approx(np.mean(steps), abs=0.01)


@given(
    st.tuples(st.floats(1, 100), st.floats(0, 100), st.floats(0, 100)),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=4, max_size=40),
)
def test_the_fit_recovers_the_cost_of_the_stages(
    cost: tuple[float, float, float], reached: list[tuple[float, float]]
) -> None:
    shares = [(1 - a, a * (1 - b), a * b) for a, b in reached]
    times = [cost[0] + cost[1] * a + cost[2] * a * b for a, b in reached]
    found = tune.fit(shares, times)
    assert (found >= 0).all()
    said = [found @ (1, s[1] + s[2], s[2]) for s in shares]
    assert said == pytest.approx(times, rel=1e-4)


def test_the_fit_in_noise() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 49))
    times = (COST[0] + COST[1] * a + COST[2] * a * b) * np.exp(rng.normal(0, 0.05, 49))
    found = tune.fit(list(zip(1 - a, a * (1 - b), a * b, strict=True)), list(times))
    assert found == pytest.approx(COST, rel=0.1)
    # Where stages cost nothing, noise makes no cost below 0 of it.
    assert tune.fit([(0.5, 0.5, 0.0), (1.0, 0.0, 0.0)], [9.0, 10.0])[1:] == pytest.approx([0, 0])


def test_the_front_starts_at_the_fast_thresholds() -> None:
    def point(rho: float, ms: float, quality: float) -> FrontPoint:
        return FrontPoint((rho, rho), ms, ms, quality, (1, 0, 0))

    fast, same, better, worse, best = (
        point(0.5, 10, 0.6), point(0.6, 10, 0.7), point(0.7, 20, 0.8), point(0.8, 25, 0.8),
        point(0.9, 30, 0.9),
    )  # fmt: skip
    assert tune.pareto([best, worse, better, same, fast], (0.5, 0.5)) == [fast, better, best]
