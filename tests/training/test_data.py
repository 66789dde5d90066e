import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import make_tree

from lc_trt.classes import IGNORE
from lc_trt.errors import LcTrtError
from lc_trt.training.data import Batches, FolderDataset, Sample, augment, class_weights


@pytest.fixture
def broken(tmp_path):
    return make_tree(tmp_path / "data", train=2, val=1)


def read_all(root):
    return list(FolderDataset(root, "train", 3))


def test_reads_images_and_labels(tree):
    samples = FolderDataset(tree, "train", 3)
    assert len(samples) == 6
    assert [s.name for s in samples] == ["0", "1", "2", "3", "4", "5"]
    first = samples[0]
    assert first.image.shape == (64, 96, 3)
    assert first.label.shape == (64, 96)
    assert first.image.dtype == first.label.dtype == np.uint8
    assert set(np.unique(first.label)) == {0, 1, 2, IGNORE}
    assert samples[0] is first  # read once


def test_no_such_split(tree):
    with pytest.raises(LcTrtError, match=r"test/images: no such folder; expected ROOT/test/images"):
        FolderDataset(tree, "test", 3)


def test_a_folder_without_images(tmp_path):
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "images" / "notes.txt").write_text("none")
    with pytest.raises(LcTrtError, match=r"train/images: holds no image"):
        FolderDataset(tmp_path, "train", 3)


def test_a_missing_label_is_named(broken, capfd):
    (broken / "train/labels/1.png").unlink()
    with pytest.raises(LcTrtError, match=r"train/labels/1\.png: no such file.*1\.png"):
        read_all(broken)
    assert capfd.readouterr().err == ""  # OpenCV keeps quiet


def test_a_label_of_another_size_is_named(broken):
    cv2.imwrite(str(broken / "train/labels/1.png"), np.zeros((64, 95), np.uint8))
    with pytest.raises(LcTrtError, match=r"labels/1\.png: uint8 \(64, 95\), expected.*\(64, 96\)"):
        read_all(broken)


def test_a_coloured_label_is_named(broken):
    cv2.imwrite(str(broken / "train/labels/0.png"), np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(LcTrtError, match=r"labels/0\.png: uint8 \(64, 96, 3\).*class numbers"):
        read_all(broken)


@pytest.mark.parametrize("value", [3, 254])
def test_a_value_that_is_no_class_is_named(broken, value):
    label = np.zeros((64, 96), np.uint8)
    label[5, 5] = value
    cv2.imwrite(str(broken / "train/labels/1.png"), label)
    with pytest.raises(LcTrtError, match=rf"labels/1\.png: value {value}, expected 0 to 2 or 255"):
        read_all(broken)


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_file_that_is_no_image_is_named(broken, kind):
    (broken / "train" / kind / "1.png").write_bytes(b"not a picture")
    with pytest.raises(LcTrtError, match=rf"{kind}/1\.png: not a readable image"):
        read_all(broken)


def test_class_weights_are_bounded_and_favour_the_rare():
    class Two(list):
        classes = 4

    label = np.zeros((10, 10), np.uint8)
    label[0, :10] = 1
    label[1, 0] = 2
    label[2] = IGNORE
    image = np.zeros((10, 10, 3), np.uint8)
    weights = class_weights(Two([Sample("a", image, label), Sample("b", image, label)]))
    assert weights.dtype == np.float32
    shares = np.array([79, 10, 1, 0]) / 90
    want = 1 / np.log(1.1 + shares)
    np.testing.assert_allclose(weights, want / want.mean(), rtol=1e-6)
    assert list(weights) == sorted(weights)


@given(
    st.integers(4, 12),
    st.integers(4, 12),
    st.tuples(st.integers(4, 48), st.integers(4, 48)),
    st.sampled_from([(0.5, 0.5), (1.0, 1.0), (0.7, 2.0)]),
    st.integers(0, 100),
)
def test_augment_gives_the_crop_and_keeps_pairs(h, w, crop, scale, seed):
    """The label travels with its pixels; what is outside the image counts nowhere."""
    label = np.random.default_rng(seed).integers(0, 2, (h, w)).astype(np.uint8)
    label = label.repeat(4, 0).repeat(4, 1)
    image = np.repeat(np.where(label == 1, 220, 40).astype(np.uint8)[..., None], 3, 2)
    image, label = augment(Sample("x", image, label), crop, scale, np.random.default_rng((seed, 1)))
    assert image.shape == (*crop, 3)
    assert label.shape == crop
    assert image.dtype == label.dtype == np.uint8
    assert image.flags.c_contiguous
    assert label.flags.c_contiguous
    inside_h = min(crop[0], round(4 * h * scale[0]))
    inside_w = min(crop[1], round(4 * w * scale[0]))
    assert (label[:inside_h, :inside_w] != IGNORE).all()
    if scale == (1.0, 1.0):
        assert (label[inside_h:] == IGNORE).all()
        assert (label[:, inside_w:] == IGNORE).all()
        bright, dark = image[label == 1], image[label == 0]
        if bright.size and dark.size:
            assert bright.min() > dark.max()


def test_augment_stretches_one_axis_against_the_other():
    """A square keeps its area and, over many draws, gets up to ``aspect`` longer than high."""
    label = np.zeros((200, 200), np.uint8)
    label[50:150, 50:150] = 1
    sample = Sample("x", np.repeat(label[..., None] * 200, 3, 2), label)
    rng, ratios = np.random.default_rng(0), []
    for _ in range(60):
        found = augment(sample, (300, 300), (1.0, 1.0), rng, aspect=2.0)[1] == 1
        ratios.append(found.any(0).sum() / found.any(1).sum())
        assert found.sum() == pytest.approx(100 * 100, rel=0.05)
    assert 0.48 < min(ratios) < 0.6
    assert 1.7 < max(ratios) < 2.1


def test_augment_draws_differ():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (32, 48, 3)).astype(np.uint8)
    sample = Sample("x", image, np.zeros((32, 48), np.uint8))
    first, second = (augment(sample, (24, 24), (0.8, 1.2), rng)[0] for _ in range(2))
    assert not np.array_equal(first, second)


def test_batches_are_a_function_of_seed_and_step(tree):
    samples = FolderDataset(tree, "train", 3)

    def batches(seed):
        return Batches(samples, 2, (32, 32), (0.8, 1.2), seed)

    ours, again, other = batches(1), batches(1), batches(2)
    _ = ours[7]  # order of asking does not matter
    for a, b in zip(ours[4], again[4], strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(ours[4][0], other[4][0])
    assert not np.array_equal(ours[4][0], ours[5][0])
    assert ours[4][0].shape == (2, 32, 32, 3)
    assert ours[4][1].shape == (2, 32, 32)


class Numbered:
    """Images that are their own number."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return Sample(str(i), np.zeros((8, 8, 3), np.uint8), np.full((8, 8), i, np.uint8))


@pytest.mark.parametrize(("count", "batch", "steps"), [(6, 2, 3), (7, 3, 2), (5, 1, 5)])
def test_an_epoch_shows_an_image_once(count, batch, steps):
    batches = Batches(Numbered(count), batch, (8, 8), (1.0, 1.0), 0)
    assert batches.steps_per_epoch == steps
    orders = []
    for epoch in range(3):
        shown = [
            int(label[0, 0]) for step in range(steps) for label in batches[epoch * steps + step][1]
        ]
        assert len(set(shown)) == len(shown) == steps * batch
        orders.append(shown)
    assert orders[0] != orders[1]


def test_fewer_images_than_a_batch():
    batches = Batches(Numbered(2), 5, (8, 8), (1.0, 1.0), 0)
    assert batches.steps_per_epoch == 1
    labels = batches[0][1]
    assert labels.shape == (5, 8, 8)
    assert {int(label[0, 0]) for label in labels} == {0, 1}
