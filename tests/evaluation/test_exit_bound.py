"""The default thresholds that are chosen, what is stored, and when nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_backends import WrappedBackend
from fake_engine import FakeClock
from fake_plant import CostlyStages, tuned
from hypothesis import given
from hypothesis import strategies as st
from recording_monitor import RecordingMonitor
from toy_models import DEFAULT_RHO, FAST_RHO, SIZE, toy_bundle
from toy_videos import write_video

from lc_trt.backends.load import load
from lc_trt.backends.registry import registered
from lc_trt.bundle.bundle import read_bundle
from lc_trt.bundle.exit_bound import CONFORMAL, EMPIRICAL, LABELS_CHANGED, MIOU_LOST, TESTED
from lc_trt.bundle.pareto_front import read_front, store_front
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.exit_bound import Options, bound_exits, choose, path_count
from lc_trt.evaluation.exit_losses import Measured
from lc_trt.evaluation.exit_path import NO_EXIT, ExitPath
from lc_trt.evaluation.risk_control import ConformalRiskControl, Empirical, LearnThenTest
from lc_trt.video.frame_set import find_frames

COUNT = 48  # images, eight of them for the path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return toy_bundle(tmp_path / "toy.lct", backend="onnxruntime").path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Noise, so that half of 1 - rho of the labels change, and the right label maps."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i in range(COUNT):
        picture = rng.integers(0, 256, (*SIZE, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{i:02}.png"), picture)
        cv2.imwrite(str(tmp_path / "labels" / f"{i:02}.png"), picture[..., 2] // 64)
    return tmp_path / "images"


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Later stages of the toy take time and are right more often."""
    clock = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", clock)
    with registered(WrappedBackend("onnxruntime", alter=CostlyStages(clock))):
        yield


@pytest.mark.usefixtures("costly")
def test_the_cheapest_thresholds_become_the_default(bundle: Path, images: Path) -> None:
    before = store_front(read_bundle(bundle), tuned()).manifest
    monitor = RecordingMonitor()
    options = Options(ConformalRiskControl(0.1), grid=4, threads=1)
    found = bound_exits(bundle, images, options, monitor=monitor)
    bound, candidates = found.bound, found.candidates
    assert (bound.measure, bound.form, bound.limit) == (LABELS_CHANGED, CONFORMAL, 0.1)
    assert (bound.images, bound.path_images, bound.clips) == (COUNT - 8, 8, 0)
    assert bound.origin == "images" and bound.confidence is None
    assert bound.images_sha256 == find_frames(images, COUNT).digest
    # It holds there, and at all dearer candidates; at the next cheaper one it does not.
    chosen = [c.rho for c in candidates].index(bound.rho)
    assert 0 < chosen < len(candidates) - 1
    assert candidates[chosen - 1].value > 0.1 >= candidates[chosen].value
    assert candidates[chosen].value == pytest.approx((40 * bound.measured + 1) / 41)
    assert [c.ms for c in candidates] == sorted(c.ms for c in candidates)
    assert candidates[-1].rho == NO_EXIT and candidates[-1].loss == 0
    # The toy changes half of 1 - rho of the labels.
    assert bound.measured == pytest.approx((1 - bound.rho[0]) / 2, rel=0.15)
    # As programs find it, and nothing else changed.
    stored = read_bundle(bundle)
    assert stored.manifest.bound == bound and stored.manifest.default_rho == bound.rho
    assert replace(stored.manifest, default_rho=DEFAULT_RHO, bound=None) == before
    assert read_front(stored) is not None and found.before == DEFAULT_RHO
    with load(bundle, threads=1) as segmenter:
        frame = cv2.imread(str(images / "00.png"))
        assert segmenter(frame).rho == bound.rho
    assert monitor.phases == {
        "running at rho 1": (8, 8),
        "choosing thresholds": (8, 8),
        "sweeping": (9 * 16, 9 * 16),
        "measuring the candidates": (40, 40),
    }


@pytest.mark.usefixtures("costly")
def test_a_bound_with_confidence_is_stricter(bundle: Path, images: Path) -> None:
    options = Options(ConformalRiskControl(0.2), grid=4, threads=1)
    mean = bound_exits(bundle, images, options).bound
    sure = bound_exits(bundle, images, replace(options, control=LearnThenTest(0.2, 0.9))).bound
    assert (sure.form, sure.confidence) == (TESTED, 0.9)
    assert sure.rho[0] > mean.rho[0] and sure.measured < mean.measured
    assert read_bundle(bundle).manifest.bound == sure


@pytest.mark.usefixtures("costly")
def test_the_loss_of_miou_is_empirical(bundle: Path, images: Path) -> None:
    labels = images.parent / "labels"
    options = Options(Empirical(0.1), labels, limit=12, grid=4, threads=1)
    found = bound_exits(bundle, images, options)
    bound = found.bound
    assert (bound.measure, bound.form, bound.confidence) == (MIOU_LOST, EMPIRICAL, None)
    assert bound.images == bound.path_images == 12 and 0 < bound.measured <= 0.1
    chosen = [c.rho for c in found.candidates].index(bound.rho)
    assert chosen == 0 or found.candidates[chosen - 1].loss > 0.1


def refused(bundle: Path, images: Path, control: object, **changes: object) -> str:
    options = replace(Options(control, grid=2, threads=1), **changes)  # type: ignore[arg-type]
    content = (bundle / "manifest.json").read_bytes()
    with pytest.raises(LcTrtError) as caught:
        bound_exits(bundle, images, options)
    assert (bundle / "manifest.json").read_bytes() == content
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_too_few_images_are_refused_before_anything_runs(
    bundle: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lc_trt.evaluation.exit_bound.load", lambda *_, **__: pytest.fail("runs"))
    text = refused(bundle, images, ConformalRiskControl(0.01))
    # 99 for the bound, and a tenth of all for the candidates.
    assert "48 images are too few for --max-changed 1, whatever" in text
    assert "expected at least 109, 10 of which only serve to choose the candidates" in text
    assert "--limit" not in text
    text = refused(bundle, images, ConformalRiskControl(0.02), limit=20)
    assert "20 images are too few for --max-changed 2, " in text
    assert "at least 57, 8 of which only serve to choose the candidates (and --limit 57)" in text
    text = refused(bundle, images, LearnThenTest(0.05, 0.95))
    assert "for --max-changed 5 --confidence 0.95, whatever the thresholds; expected at" in text


@given(st.integers(0, 400))
def test_the_images_of_the_path_are_a_tenth(images: int) -> None:
    found = path_count(images)
    assert 0 <= found <= 32 and (found >= 8 or found == images)
    assert path_count(images + 1) - found in (0, 1)


@pytest.mark.usefixtures("costly")
def test_a_limit_that_no_exits_keep_to(bundle: Path, images: Path) -> None:
    text = refused(bundle, images, ConformalRiskControl(0.025))
    assert "no thresholds with early exit keep to --max-changed 2.5 on 40 images" in text
    assert "% of labels change even at" in text and "expected at least" in text
    for file in images.iterdir():  # sure of everything: all exit, whatever the threshold below 1
        picture = cv2.imread(str(file))
        picture[..., 0] = 255
        cv2.imwrite(str(file), picture)
    text = refused(bundle, images, Empirical(0.01), labels=images.parent / "labels")
    assert "keep to --max-drop 1 on 48 images" in text and "points of mIoU are lost" in text
    assert text.endswith("expected a larger limit")


def test_unsuitable_models_are_refused(bundle: Path, images: Path, tmp_path: Path) -> None:
    dense = toy_bundle(tmp_path / "dense.lct", "dense", backend="onnxruntime").path
    with pytest.raises(UsageError, match="dense network has no thresholds"):
        bound_exits(dense, images, Options(ConformalRiskControl(0.1)))
    with pytest.raises(LcTrtError, match="no such bundle"):
        bound_exits(tmp_path / "none.lct", images, Options(ConformalRiskControl(0.1)))


@pytest.mark.usefixtures("costly")
def test_frames_of_videos_are_warned_of(bundle: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in "abc":
        write_video(clips / f"{name}.avi", 20)
    monitor = RecordingMonitor()
    options = Options(ConformalRiskControl(0.3), limit=30, grid=2, threads=1)
    bound = bound_exits(bundle, clips, options, monitor=monitor).bound
    assert (bound.clips, bound.images, bound.path_images) == (3, 22, 8)
    assert any("not like those of another day; the bound" in text for text in monitor.warnings)


@pytest.mark.usefixtures("costly")
def test_default_thresholds_below_the_fast_ones_are_warned_of(bundle: Path, images: Path) -> None:
    manifest = read_bundle(bundle).manifest
    monitor = RecordingMonitor()
    options = Options(ConformalRiskControl(0.9), grid=2, threads=1)
    bound = bound_exits(bundle, images, options, monitor=monitor).bound
    assert bound.rho == (0.0, 0.0) and manifest.fast_rho == FAST_RHO == (0.5, 0.4)
    assert monitor.warnings == [
        f"{bundle}: the fast thresholds 0.5,0.4 are not below the new default ones, 0,0; "
        "choose others with lc-trt build --fast-rho"
    ]
    (bundle / "manifest.json").write_text(
        replace(read_bundle(bundle).manifest, fast_rho=(0.0, 0.0)).dumps()
    )
    bound_exits(bundle, images, options, monitor=(quiet := RecordingMonitor()))
    assert quiet.warnings == []  # equal is not below


def test_the_choice_uses_the_running_maximum() -> None:
    # In the middle, the loss is small by chance: a cheaper point than the dearer third may not be.
    losses = np.tile([0.3, 0.0, 0.2, 0.0], (100, 1))
    path = ExitPath(((0.5, 0.5), (0.6, 0.5), (0.7, 0.5), NO_EXIT), (1.0, 2.0, 3.0), 0.0)
    measured = Measured(losses, ((1.0, 0.0, 0.0),) * 4, 100)
    candidates, chosen = choose(measured, path, ConformalRiskControl(0.1))
    assert chosen == 3 and [c.loss for c in candidates] == pytest.approx([0.3, 0.2, 0.2, 0.0])
    assert [c.ms for c in candidates] == [1.0] * 4
    assert choose(measured, path, ConformalRiskControl(0.25))[1] == 1
    assert choose(measured, path, ConformalRiskControl(0.001))[1] is None
