"""`compare_models` on networks with known answers."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from fake_backends import WrappedBackend
from toy_models import SIZE, bgr, toy_bundle, toy_manifest, toy_model

from lc_trt.backends.registry import registered
from lc_trt.bundle.bundle import MODEL, SOURCE, write_bundle
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.compare import DIFFERENT, Comparison, Options, compare_models


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
    settings = Options(picture=root / "worst.png", threads=1, **options)
    return compare_models(root / a, root / b, root / "images", settings)


def test_equal_models_agree(root):
    comparison = compare(root)
    assert (comparison.images, comparison.probability) == (2, 0.0)
    assert comparison.labels == comparison.stages == 1.0
    assert comparison.shares[0] == comparison.shares[1] == pytest.approx((0.25, 0, 0.75), abs=0.02)


def test_the_worst_image_is_found_and_drawn(root):
    """The second model labels bright pixels class 0, with lower confidence."""

    def altered(output):
        labels = np.where(output.labels == 3, 0, output.labels).astype(np.uint8)
        return replace(output, labels=labels, confidence=output.confidence - 0.125)

    toy_bundle(root / "altered.lct", backend="openvino")
    with registered(WrappedBackend("openvino", alter=altered)):
        comparison = compare(root, b="altered.lct")
    assert (comparison.worst, comparison.worst_labels, comparison.labels) == ("half.png", 0.5, 0.75)
    assert comparison.probability == pytest.approx(0.125)
    picture = cv2.imread(str(root / "worst.png"))
    marked = picture[:, -SIZE[1] :]
    assert (marked[:, SIZE[1] // 2 :] == DIFFERENT).all()
    assert not (marked[:, : SIZE[1] // 2] == DIFFERENT).all(axis=2).any()


def test_nan_confidence_is_an_error(root):
    def altered(output):
        return replace(output, confidence=output.confidence * np.nan)

    toy_bundle(root / "altered.lct", backend="openvino")
    with (
        registered(WrappedBackend("openvino", alter=altered)),
        pytest.raises(LcTrtError, match="are not probabilities"),
    ):
        compare(root, b="altered.lct")


def test_non_finite_pixels_are_shown_only_if_there_are_any():
    title = "pixels without a finite probability"
    comparison = Comparison(2, 0, 0.5, 0.5, 0.0, 30, "a.png", 0.4, (None, None))
    assert dict(comparison.rows())[title] == "30" and comparison.as_dict()["non_finite"] == 30
    assert title not in dict(replace(comparison, non_finite=0).rows())


def test_thresholds_are_the_first_models_unless_given(root):
    assert compare(root, rho=(1.0, 1.0)).shares[0] == (0.0, 0.0, 1.0)


def test_a_dense_network_has_no_stages_to_compare(root):
    toy_bundle(root / "dense.lct", "dense", backend="onnxruntime")
    comparison = compare(root, b="dense.lct")
    assert comparison.stages == 1.0 and comparison.shares[1] is None
    assert "equal stages" not in dict(comparison.rows())
    with pytest.raises(UsageError, match="is dense and has no thresholds"):
        compare(root, "dense.lct", "dense.lct", rho=0.5)


def test_broken_images_are_skipped_unless_all_are(root):
    for name in ("grey.png", "half.png"):
        (root / "images" / name).write_bytes(b"broken")
        if name == "grey.png":
            assert compare(root).skipped == 1
    with pytest.raises(LcTrtError, match="none of its 2 images is readable"):
        compare(root)


def test_different_classes_and_unwritable_pictures_are_refused(root):
    with pytest.raises(LcTrtError, match=r"--save .*cannot be written .*; choose another file"):
        compare_models(
            root / "a.lct", root / "b.lct", root / "images", Options(root / "no" / "w.png"),
        )  # fmt: skip
    content = toy_model()
    manifest = replace(toy_manifest(backend="onnxruntime"), classes=("a", "b", "c", "d"))
    write_bundle(root / "other.lct", manifest, {MODEL: content, SOURCE: content})
    with pytest.raises(UsageError, match="4 classes, expected the same 4 classes as"):
        compare(root, b="other.lct")
