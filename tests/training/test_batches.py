import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Sample
from lc_trt.errors import LcTrtError
from lc_trt.training.batches import Batches, augment, class_weights, count_pixels
from lc_trt.training.config import Augment


def how(crop, scale=(1.0, 1.0), aspect=1.0, jitter=0.0, mirror=True):
    """An `Augment` with a crop of any size, also below the minimum of a network."""
    return Augment.model_construct(
        crop=crop,
        scale=scale,
        aspect=aspect,
        jitter=jitter,
        mirror=mirror,
        blur=0.0,
        focus=0.0,
    )


def test_class_weights_are_bounded_and_favour_the_rare():
    class Two(list):
        classes = 4

    label = np.zeros((10, 10), np.uint8)
    label[0, :10] = 1
    label[1, 0] = 2
    label[2] = IGNORE
    image = np.zeros((10, 10, 3), np.uint8)
    weights = class_weights(
        count_pixels(Two([Sample("a", image, label), Sample("b", image, label)]))
    )
    assert weights.dtype == np.float32
    shares = np.array([79, 10, 1, 0]) / 90
    expected = 1 / np.log(1.1 + shares)
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-6)
    assert list(weights) == sorted(weights)


@given(
    st.integers(4, 12),
    st.integers(4, 12),
    st.tuples(st.integers(4, 48), st.integers(4, 48)),
    st.sampled_from([(0.5, 0.5), (1.0, 1.0), (0.7, 2.0)]),
    st.integers(0, 100),
)
def test_augment_gives_the_crop_and_keeps_pairs(h, w, crop, scale, seed):
    """Labels stay aligned with their pixels; padding is ignored."""
    label = np.random.default_rng(seed).integers(0, 2, (h, w)).astype(np.uint8)
    label = label.repeat(4, 0).repeat(4, 1)
    image = np.repeat(np.where(label == 1, 220, 40).astype(np.uint8)[..., None], 3, 2)
    image, label = augment(
        Sample("x", image, label), how(crop, scale, jitter=0.1), np.random.default_rng((seed, 1))
    )
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


def test_augment_changes_the_aspect_ratio():
    """A square keeps its area and, over many draws, reaches the aspect ratio ``aspect``."""
    label = np.zeros((200, 200), np.uint8)
    label[50:150, 50:150] = 1
    sample = Sample("x", np.repeat(label[..., None] * 200, 3, 2), label)
    rng, ratios = np.random.default_rng(0), []
    for _ in range(60):
        found = augment(sample, how((300, 300), aspect=2.0), rng)[1] == 1
        ratios.append(found.any(0).sum() / found.any(1).sum())
        assert found.sum() == pytest.approx(100 * 100, rel=0.05)
    assert 0.48 < min(ratios) < 0.6
    assert 1.7 < max(ratios) < 2.1


def test_augment_draws_differ():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (32, 48, 3)).astype(np.uint8)
    sample = Sample("x", image, np.zeros((32, 48), np.uint8))
    drawn = how((24, 24), (0.8, 1.2), jitter=0.3)
    first, second = (augment(sample, drawn, rng)[0] for _ in range(2))
    assert not np.array_equal(first, second)


def noise(count):
    """Images of random noise: no two crops are equal."""
    rng, label = np.random.default_rng(3), np.zeros((40, 48), np.uint8)
    images = rng.integers(0, 255, (count, 40, 48, 3)).astype(np.uint8)
    return [Sample(str(i), image, label) for i, image in enumerate(images)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_a_function_of_seed_and_step(workers):
    samples = noise(6)

    def batches(seed, workers=0):
        return Batches(samples, 2, how((32, 32), (0.8, 1.2), jitter=0.2), seed, workers)

    ours, again, other = batches(1, workers), batches(1), batches(2, workers)
    _ = ours[7]  # the order of access does not matter
    for a, b in zip(ours[4], again[4], strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(ours[4][0], other[4][0])
    assert not np.array_equal(ours[4][0], ours[5][0])
    assert ours[4][0].shape == (2, 32, 32, 3)
    assert ours[4][1].shape == (2, 32, 32)
    for each in (ours, again, other):
        each.close()


def test_prefetching_is_bounded():
    read = []

    class Counted(list):
        def __getitem__(self, i):
            read.append(i)
            return super().__getitem__(i)

    batches = Batches(Counted(noise(6)), 2, how((32, 32)), 0, workers=2)
    _ = batches[0]
    batches.close()
    assert 2 <= len(read) <= 2 * (1 + 4)


def test_an_error_in_a_thread_reaches_the_caller():
    class Broken(list):
        def __getitem__(self, i):
            raise LcTrtError("no such file")

    batches = Batches(Broken(range(4)), 2, how((8, 8)), 0, workers=1)
    with pytest.raises(LcTrtError, match="no such file"):
        _ = batches[0]
    batches.close()


class Numbered:
    """Images whose label is their index."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return Sample(str(i), np.zeros((8, 8, 3), np.uint8), np.full((8, 8), i, np.uint8))


@pytest.mark.parametrize(("count", "batch", "steps"), [(6, 2, 3), (7, 3, 2), (5, 1, 5)])
def test_an_epoch_shows_an_image_once(count, batch, steps):
    batches = Batches(Numbered(count), batch, how((8, 8)), 0)
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
    batches = Batches(Numbered(2), 5, how((8, 8)), 0)
    assert batches.steps_per_epoch == 1
    labels = batches[0][1]
    assert labels.shape == (5, 8, 8)
    assert {int(label[0, 0]) for label in labels} == {0, 1}


def test_scale_is_drawn_evenly_over_its_logarithm():
    """Halving is as likely as doubling."""
    label = np.zeros((64, 64), np.uint8)
    label[16:48, 16:48] = 1
    sample = Sample("x", np.zeros((64, 64, 3), np.uint8), label)
    rng = np.random.default_rng(0)
    sides = [
        np.sqrt((augment(sample, how((160, 160), (0.5, 2.0)), rng)[1] == 1).sum())
        for _ in range(200)
    ]
    assert 15 <= min(sides) < 18 and 58 < max(sides) <= 65
    assert 80 <= sum(side < 32 for side in sides) <= 120


def test_mirror_can_be_off():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, :8] = 200
    sample = Sample("x", image, np.zeros((16, 16), np.uint8))
    for mirror, brighter in ((False, {True}), (True, {True, False})):
        rng = np.random.default_rng(0)
        left = [augment(sample, how((16, 16), mirror=mirror), rng)[0][0, 0, 0] for _ in range(20)]
        assert {bool(value == 200) for value in left} == brighter


def test_focus_crops_contain_a_pixel_of_a_uniformly_drawn_class():
    """A single pixel of class 1 in 4096 is in half of the crops, never at their border."""
    label = np.zeros((64, 64), np.uint8)
    label[50, 10] = 1
    sample = Sample("x", np.zeros((64, 64, 3), np.uint8), label)
    drawn = how((16, 16)).model_copy(update={"focus": 1.0, "focus_scale": (4.0, 4.0)})
    rng = np.random.default_rng(0)
    crops = [augment(sample, drawn, rng)[1] == 1 for _ in range(200)]
    held = [crop for crop in crops if crop.any()]
    assert 75 <= len(held) <= 125
    for crop in held:
        assert crop[2:-2, 2:-2].any()


def test_focus_on_an_image_without_labels_is_an_ordinary_crop():
    sample = Sample("x", np.zeros((32, 32, 3), np.uint8), np.full((32, 32), IGNORE, np.uint8))
    drawn = how((16, 16)).model_copy(update={"focus": 1.0, "focus_scale": (4.0, 4.0)})
    assert augment(sample, drawn, np.random.default_rng(0))[0].shape == (16, 16, 3)


def test_every_fourth_image_is_blurred():
    noise_ = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    sample = Sample("x", noise_, np.zeros((32, 32), np.uint8))
    drawn = how((32, 32), mirror=False).model_copy(update={"blur": 3.0})
    rng = np.random.default_rng(0)
    contrast = np.array([augment(sample, drawn, rng)[0].std() for _ in range(200)])
    assert 30 <= (contrast < noise_.std() * 0.99).sum() <= 70
    assert contrast.min() < noise_.std() * 0.3


@pytest.fixture
def photographs(tmp_path):
    paths = []
    for i, (h, w) in enumerate([(30, 200), (300, 40), (64, 64)]):
        paths.append(tmp_path / f"{i}.png")
        cv2.imwrite(str(paths[-1]), np.full((h, w, 3), 100 + i, np.uint8))
    return paths


class Grey(list):
    """Four labelled images, all 0."""

    classes = 2

    def __init__(self):
        zero = np.zeros((64, 64, 3), np.uint8)
        super().__init__(Sample(str(i), zero, zero[..., 0]) for i in range(4))


@pytest.mark.parametrize("workers", [0, 2])
def test_unlabelled_photographs_fill_their_share_of_a_batch(photographs, workers):
    batches = Batches(Grey(), 4, how((48, 40)), 3, workers, photographs, 0.3)
    assert batches.steps_per_epoch == 1  # three of four labelled images
    seen = set()
    for step in range(12):
        images, labels = batches[step]
        assert images.shape == (4, 48, 40, 3)
        assert (labels[:3] == 0).all() and (images[:3] == 0).all()
        assert (labels[3] == IGNORE).all()
        seen |= set(np.unique(images[3]))
    batches.close()
    assert seen == {100, 101, 102}  # stretched to the crop, never padded


def test_photographs_have_their_own_scale(tmp_path):
    path = tmp_path / "ramp.png"
    cv2.imwrite(str(path), np.tile(np.arange(240, dtype=np.uint8), (120, 1)))
    for scale, low, high in ((1.0, 115, 121), (4.0, 25, 31)):
        batches = Batches(Grey(), 2, how((64, 64)), 0, 0, [path], 0.5, (scale, scale))
        widths = [np.ptp(batches[step][0][1]) for step in range(8)]
        assert low <= min(widths) and max(widths) <= high


@pytest.mark.parametrize(("batch", "part", "more"), [(1, 0.5, 0), (4, 0.0, 0), (4, 0.99, 3)])
def test_every_batch_keeps_a_labelled_image(photographs, batch, part, more):
    _, labels = Batches(Grey(), batch, how((32, 32)), 0, 0, photographs, part)[0]
    assert (labels == IGNORE).all((1, 2)).sum() == more
    _, labels = Batches(Grey(), batch, how((32, 32)), 0, 0, (), part)[0]
    assert (labels == 0).all()


def test_a_broken_photograph_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    batches = Batches(Grey(), 2, how((32, 32)), 0, 0, [tmp_path / "a.png"], 0.5)
    with pytest.raises(LcTrtError, match=r"a\.png: not a readable image; remove it"):
        batches[0]
