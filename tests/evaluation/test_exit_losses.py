"""What early exit changes, on images, frames of videos and labelled images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_backends import WrappedBackend
from fake_engine import FakeClock
from fake_plant import CostlyStages
from recording_monitor import RecordingMonitor
from toy_models import CLASSES, SIZE, toy_bundle
from toy_videos import write_video

from lc_trt.backends.load import load
from lc_trt.backends.registry import registered
from lc_trt.bundle.exit_bound import LABELS_CHANGED, MIOU_LOST
from lc_trt.data.metrics import Confusion
from lc_trt.errors import LcTrtError
from lc_trt.evaluation.exit_losses import LabelsChanged, MiouLost
from lc_trt.evaluation.exit_path import NO_EXIT
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.video.frame_set import find_frames

RHOS = ((0.2, 0.5), (0.6, 0.5), NO_EXIT)


@pytest.fixture
def costly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Segmenter]:
    """A cascade that mislabels half of what exits at stage 1."""
    clock = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", clock)
    bundle = toy_bundle(tmp_path / "costly.lct", batch=2, backend="onnxruntime")
    with (
        registered(WrappedBackend("onnxruntime", alter=CostlyStages(clock))),
        load(bundle.path, threads=1) as segmenter,
    ):
        yield segmenter


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Eleven images of noise, of several sizes, and label maps of what the network says."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for i in range(11):
        picture = rng.integers(0, 256, (SIZE[0] + i, SIZE[1], 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{i:02}.png"), picture)
        cv2.imwrite(str(tmp_path / "labels" / f"{i:02}.png"), picture[..., 2] // 64)
    return tmp_path / "images"


def test_the_share_of_labels_changed_is_per_image_and_at_its_size(
    costly: Segmenter, images: Path
) -> None:
    source = LabelsChanged(find_frames(images, 11), 3)
    assert (source.measure, source.path_images, source.count()) == (LABELS_CHANGED, 3, 8)
    found = source.measure_losses(costly, RHOS)
    others = [i for i in range(11) if i not in (0, 3, 7)]
    assert found.images == len(others) == len(found.losses) and len(found.shares) == len(RHOS)
    for row, i in zip(found.losses, others, strict=True):
        image = cv2.imread(str(images / f"{i:02}.png"))
        labels = [costly(image, rho).labels for rho in RHOS]
        assert labels[0].shape == image.shape[:2]
        expected = [(each != labels[-1]).sum() / labels[0].size for each in labels]
        assert row == pytest.approx(expected) and row[0] > row[1] > row[2] == 0
    for k, rho in enumerate(RHOS):
        images_of = [cv2.imread(str(images / f"{i:02}.png")) for i in others]
        shares = np.mean([costly(image, rho).shares for image in images_of], axis=0)
        assert found.shares[k] == pytest.approx(tuple(shares))


def test_the_images_of_the_path_are_no_others(costly: Segmenter, images: Path) -> None:
    source = LabelsChanged(find_frames(images, 11), 3)
    samples = source.path_samples(costly)
    assert len(samples) == 3
    for sample, i in zip(samples, (0, 3, 7), strict=True):
        image = cv2.imread(str(images / f"{i:02}.png"))
        assert np.array_equal(sample.image, image)
        assert np.array_equal(sample.label, costly(image, 1.0).labels)


def test_frames_of_videos(costly: Segmenter, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in "ab":
        write_video(clips / f"{name}.avi", 12)
    source = LabelsChanged(find_frames(clips, 8), 2)
    assert (source.clips, source.origin, source.count()) == (2, "clips", 6)
    assert source.measure_losses(costly, RHOS).losses.shape == (6, 3)


def test_progress_counts_images_and_unreadable_ones_are_left_out(
    costly: Segmenter, images: Path
) -> None:
    for i in range(11, 41):  # one of forty may be unreadable
        cv2.imwrite(str(images / f"{i:02}.png"), np.full((*SIZE, 3), i, np.uint8))
    damaged = images / "05.png"
    damaged.write_bytes(damaged.read_bytes()[:50])
    source, monitor = LabelsChanged(find_frames(images, 41), 4), RecordingMonitor()
    assert source.measure_losses(costly, RHOS, monitor).images == source.count() - 1 == 36
    assert monitor.phases == {"measuring the candidates": (37, 36)}
    assert monitor.warnings == [f"{damaged}: not a readable image, skipped"]
    for i in (6, 7):
        (images / f"{i:02}.png").write_bytes(damaged.read_bytes())
    with pytest.raises(LcTrtError, match="3 of 41 images are unreadable"):
        LabelsChanged(find_frames(images, 41), 4).measure_losses(costly, RHOS)


def test_miou_is_of_all_images_together(costly: Segmenter, images: Path) -> None:
    labels = images.parent / "labels"
    source = MiouLost(images, labels, len(CLASSES), 6, 4)
    assert (source.measure, source.path_images, source.count()) == (MIOU_LOST, 4, 6)
    assert source.origin == "images" and source.clips == 0
    assert [s.name for s in source.path_samples(costly)] == ["00", "01", "05", "07"]
    found = source.measure_losses(costly, RHOS)
    assert found.losses.shape == (1, 3) and found.images == 6
    miou = []
    for rho in RHOS:
        confusion = Confusion(len(CLASSES))
        for i in (0, 1, 3, 5, 7, 9):
            image = cv2.imread(str(images / f"{i:02}.png"))
            label = cv2.imread(str(labels / f"{i:02}.png"), cv2.IMREAD_GRAYSCALE)
            confusion.add(costly(image, rho).labels, label)
        miou.append(confusion.miou())
    assert found.losses[0] == pytest.approx(miou[-1] - np.array(miou))
    assert found.losses[0, 0] > found.losses[0, 1] > found.losses[0, 2] == 0


def test_without_label_maps_there_is_no_miou(images: Path, tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match=r"--labels .*no such folder"):
        MiouLost(images, tmp_path / "none", len(CLASSES), 6, 4)
