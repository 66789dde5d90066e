import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Confusion, evaluate_samples, mean_shares, stage_shares


def u8(*rows):
    return np.array(rows, np.uint8)


def test_by_hand():
    confusion = Confusion(3)
    confusion.add(u8([0, 0, 1, 1], [2, 2, 2, 0]), u8([0, 0, 0, 1], [2, 2, 1, IGNORE]))
    assert confusion.counts.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 2]]
    np.testing.assert_allclose(confusion.iou(), [2 / 3, 1 / 3, 2 / 3])
    assert confusion.miou() == pytest.approx(5 / 9)
    assert confusion.pixel_accuracy() == pytest.approx(5 / 7)


def test_images_add_up():
    one, both = Confusion(2), Confusion(2)
    one.add(u8([0, 1, 0, 1]), u8([0, 0, 1, 1]))
    both.add(u8([0, 1]), u8([0, 0]))
    both.add(u8([0, 1]), u8([1, 1]))
    assert np.array_equal(one.counts, both.counts)


def test_absent_classes_do_not_count():
    confusion = Confusion(4)
    confusion.add(u8([0, 0, 3]), u8([0, 0, 0]))
    iou = confusion.iou()
    assert iou[0] == pytest.approx(2 / 3)
    assert np.isnan(iou[[1, 2]]).all()
    assert iou[3] == 0  # predicted and nowhere labelled: wrong, not absent
    assert confusion.miou() == pytest.approx(1 / 3)


def test_nothing_labelled_is_nan():
    confusion = Confusion(3)
    confusion.add(u8([0, 1]), u8([IGNORE, IGNORE]))
    assert math.isnan(confusion.miou())
    assert math.isnan(confusion.pixel_accuracy())


def test_a_prediction_under_an_ignored_pixel_is_not_looked_at():
    confusion = Confusion(2)
    confusion.add(u8([9, 1]), u8([IGNORE, 1]))
    assert confusion.counts.tolist() == [[0, 0], [0, 1]]


def test_errors():
    with pytest.raises(ValueError, match="differ in size"):
        Confusion(2).add(u8([0, 1]), u8([0, 1, 1]))
    with pytest.raises(ValueError, match="predicted class 2, expected 0 to 1"):
        Confusion(2).add(u8([0, 2]), u8([0, 1]))


@given(
    hnp.arrays(np.uint8, (5, 6), elements=st.integers(0, 3)),
    hnp.arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2, 3, IGNORE])),
)
def test_against_sets_of_pixels(predicted, label):
    confusion = Confusion(4)
    confusion.add(predicted, label)
    valid = label != IGNORE
    for k in range(4):
        ours, theirs = (predicted == k) & valid, (label == k) & valid
        union = (ours | theirs).sum()
        expected = (ours & theirs).sum() / union if union else math.nan
        np.testing.assert_allclose(confusion.iou()[k], expected)


@given(st.data())
def test_against_scikit_learn(data):
    classes = data.draw(st.integers(2, 6))
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))
    kinds = st.integers(0, classes - 1)
    predicted = data.draw(hnp.arrays(np.uint8, shape, elements=kinds))
    label = data.draw(hnp.arrays(np.uint8, shape, elements=kinds | st.just(IGNORE)))
    confusion = Confusion(classes)
    for part in np.array_split(np.arange(shape[0]), 2):  # as two images
        confusion.add(predicted[part], label[part])
    theirs, ours = label[label != IGNORE], predicted[label != IGNORE]
    if not theirs.size:
        assert not confusion.counts.any()
        return
    names = range(classes)
    assert np.array_equal(confusion.counts, confusion_matrix(theirs, ours, labels=names))
    assert confusion.pixel_accuracy() == pytest.approx(accuracy_score(theirs, ours))
    present = np.union1d(theirs, ours)
    iou = np.full(classes, np.nan)
    iou[present] = jaccard_score(theirs, ours, labels=present, average=None)
    np.testing.assert_allclose(confusion.iou(), iou)
    assert confusion.miou() == pytest.approx(iou[present].mean())


def test_samples_are_counted_together():
    images = [np.full((2, 3, 3), value, np.uint8) for value in (0, 1)]
    labels = [u8([0, 0, 1], [IGNORE, 1, 0]), u8([1, 1, 1], [0, 0, 1])]
    samples = [Sample(str(i), image, labels[i]) for i, image in enumerate(images)]
    found = evaluate_samples(lambda sample: sample.image[..., 0], iter(samples), 2)
    expected = confusion_matrix([0, 0, 1, 1, 0, *labels[1].ravel()], [0] * 5 + [1] * 6)
    assert found.counts.tolist() == expected.tolist()


def test_shares_of_a_stage_map_and_their_mean():
    assert stage_shares(u8([1, 1, 3], [2, 3, 3])) == pytest.approx((2 / 6, 1 / 6, 3 / 6))
    assert stage_shares(u8([2])) == (0, 1, 0)
    assert mean_shares([(0.2, 0.3, 0.5), (0.4, 0.1, 0.5)]) == pytest.approx((0.3, 0.2, 0.5))
