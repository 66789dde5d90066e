"""`compare_models` on networks with known answers."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from toy_models import SIZE, bgr, toy_bundle

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation import compare as comparing
from lc_trt.evaluation.compare import DIFFERENT, Options, compare_models
from lc_trt.runtime.segmenter import Segmenter


@pytest.fixture
def root(tmp_path):
    """Two equal bundles and two images: grey, and one with a bright right half."""
    for name in ("a.lct", "b.lct"):
        toy_bundle(tmp_path / name, backend="onnxruntime")
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "grey.png"), bgr(100, 100, 100))
    half = bgr(100, 100, 100)
    half[:, SIZE[1] // 2 :] = 250
    cv2.imwrite(str(tmp_path / "images" / "half.png"), half)
    return tmp_path


def compare(root, a="a.lct", b="b.lct", **options):
    asked = Options(picture=root / "worst.png", threads=1, **options)
    return compare_models(root / a, root / b, root / "images", asked)


def test_equal_models_agree(root):
    found = compare(root)
    assert (found.images, found.labels, found.stages, found.probability) == (2, 1.0, 1.0, 0.0)
    assert found.shares[0] == found.shares[1] == pytest.approx((0.25, 0, 0.75), abs=0.02)


def test_the_worst_image_is_found_and_drawn(root, monkeypatch):
    """The second model calls bright pixels class 0 and is less sure of them."""
    real, first = Segmenter.__call__, []

    def altered(self, frame, rho=None):
        result = real(self, frame, rho)
        first.append(self.engine)
        if self.engine is first[0]:
            return result
        bright = result.labels == 3
        labels = np.where(bright, 0, result.labels).astype(np.uint8)
        return replace(result, labels=labels, cell_confidence=result.cell_confidence - 0.125)

    monkeypatch.setattr(Segmenter, "__call__", altered)
    found = compare(root)
    assert (found.worst, found.worst_labels, found.labels) == ("half.png", 0.5, 0.75)
    assert found.probability == pytest.approx(0.125)
    picture = cv2.imread(str(root / "worst.png"))
    marked = picture[:, -SIZE[1] :]
    assert (marked[:, SIZE[1] // 2 :] == DIFFERENT).all()
    assert not (marked[:, : SIZE[1] // 2] == DIFFERENT).all(axis=2).any()


@pytest.mark.parametrize("which", [0, 1])
def test_nan_confidence_is_no_agreement(root, monkeypatch, which):
    """Equal labels; one model's left half has probability NaN, which resizing spreads."""
    real, engines = Segmenter.__call__, []

    def altered(self, frame, rho=None):
        result = real(self, frame, rho)
        if self.engine not in engines:
            engines.append(self.engine)
        if engines.index(self.engine) == which:
            result.cell_confidence[:, : result.cell_confidence.shape[1] // 2] = np.nan
        return result

    monkeypatch.setattr(Segmenter, "__call__", altered)
    found = compare(root)
    assert 0.3 < found.labels <= 0.5 and found.stages == found.labels
    assert found.non_finite == round(2 * SIZE[0] * SIZE[1] * (1 - found.labels))
    assert found.probability == 0
    assert found.as_dict()["non_finite"] == found.non_finite
    assert dict(found.rows())["pixels without a finite probability"] == str(found.non_finite)


def test_thresholds_are_the_first_models_unless_given(root):
    assert compare(root, rho=(1.0, 1.0)).shares[0] == (0.0, 0.0, 1.0)


def test_a_dense_network_has_no_stages_to_compare(root):
    toy_bundle(root / "dense.lct", "dense", backend="onnxruntime")
    found = compare(root, b="dense.lct")
    assert found.stages == 1.0 and found.shares[1] is None
    assert "equal stages" not in dict(found.rows())
    with pytest.raises(UsageError, match="is dense and has no thresholds"):
        compare(root, "dense.lct", "dense.lct", rho=0.5)


def test_broken_images_are_skipped_unless_all_are(root):
    for name in ("grey.png", "half.png"):
        (root / "images" / name).write_bytes(b"broken")
        if name == "grey.png":
            assert compare(root).skipped == 1
    with pytest.raises(LcTrtError, match="none of its 2 images is readable"):
        compare(root)


def test_different_classes_and_unwritable_pictures_are_refused(root, monkeypatch):
    with pytest.raises(LcTrtError, match=r"--save .*cannot be written .*; choose another file"):
        compare_models(
            root / "a.lct", root / "b.lct", root / "images", Options(root / "no" / "w.png"),
        )  # fmt: skip
    monkeypatch.setattr(comparing, "open_model", _other_classes(comparing.open_model))
    with pytest.raises(UsageError, match="4 classes, expected the same 4 classes as"):
        compare(root)


def _other_classes(real):
    def opened(path, options, **hardware):
        segmenter = real(path, options, **hardware)
        if path.name == "b.lct":
            segmenter.manifest = replace(segmenter.manifest, classes=("a", "b", "c", "d"))
        return segmenter

    return opened
