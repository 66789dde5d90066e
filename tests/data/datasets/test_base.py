"""Reading and checking samples of any layout."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as pillow

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets.base import Dataset, Pair, read_values
from lc_trt.errors import LcTrtError

Map = npt.NDArray[np.uint8]
SIZE = (6, 9)


def write_palette(path: Path, values: Map, colours: bytes, bits: int = 8) -> None:
    """A palette PNG of these indices."""
    picture = pillow.fromarray(values)
    picture.putpalette(colours)
    picture.save(path, bits=bits)


def pairs(folder: Path, count: int = 2) -> list[Pair]:
    """Photographs 0.png, 1.png... with label maps of class 1."""
    files = [Pair(str(i), folder / f"{i}.png", folder / f"{i}_label.png") for i in range(count)]
    for pair in files:
        cv2.imwrite(str(pair.image), np.full((*SIZE, 3), (10, 20, 30), np.uint8))
        cv2.imwrite(str(pair.label), np.ones(SIZE, np.uint8))
    return files


def test_a_sample_is_read(tmp_path: Path) -> None:
    label = np.arange(54, dtype=np.uint8).reshape(SIZE) % 3
    label[0, 0] = IGNORE
    files = pairs(tmp_path)
    cv2.imwrite(str(files[0].label), label)
    samples = Dataset(files, 3)
    assert (len(samples), samples.classes) == (2, 3)
    first = samples[0]
    assert first.name == "0"
    assert first.image.dtype == first.label.dtype == np.uint8
    assert first.image.shape == (*SIZE, 3)
    assert (first.image == (10, 20, 30)).all()  # BGR, as OpenCV wrote it
    assert np.array_equal(first.label, label)
    assert [s.name for s in samples] == ["0", "1"]
    with pytest.raises(IndexError):
        samples[2]


def test_values_are_decoded(tmp_path: Path) -> None:
    files = pairs(tmp_path, 1)
    stored = np.zeros(SIZE, np.uint8)
    stored[0], stored[1], stored[2] = 1, 2, IGNORE
    cv2.imwrite(str(files[0].label), stored)
    label = Dataset(files, 2, {0: IGNORE, 1: 1, 2: 0})[0].label
    expected = np.full(SIZE, IGNORE, np.uint8)
    expected[0], expected[1] = 1, 0
    assert np.array_equal(label, expected)


@given(st.data(), st.sampled_from([1, 2, 4, 8]))
def test_palettes_read_as_their_indices(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, bits: int
) -> None:
    """Whatever the colours, also equal ones, at every bit depth."""
    values = data.draw(arrays(np.uint8, SIZE, elements=st.integers(0, 2**bits - 1)))
    count = 2**bits
    colours = data.draw(st.binary(min_size=3 * count, max_size=3 * count))
    path = tmp_path_factory.mktemp("palette") / "label.png"
    write_palette(path, values, colours, bits)
    assert np.array_equal(read_values(path), values)


def test_grey_needs_no_pillow_and_a_palette_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pairs(tmp_path)
    write_palette(files[1].label, np.ones(SIZE, np.uint8), bytes(768))
    monkeypatch.setitem(sys.modules, "PIL", None)
    samples = Dataset(files, 3)
    assert (samples[0].label == 1).all()
    with pytest.raises(
        LcTrtError, match=r"1_label\.png: reading a palette PNG needs Pillow: pip install pillow"
    ):
        samples[1]


def test_samples_are_cached_up_to_the_limit(tmp_path: Path) -> None:
    one = SIZE[0] * SIZE[1] * 4
    samples = Dataset(pairs(tmp_path, 3), 3, cache_bytes=2 * one)
    first, second, third = samples
    assert samples[0] is first
    assert samples[1] is second
    assert samples[2] is not third
    assert np.array_equal(samples[2].image, third.image)
    samples = Dataset(samples.pairs, 3, cache_bytes=one - 1)
    assert samples[0] is not samples[0]


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("1.png", r"/1\.png: no such file; expected the image '1'"),
        ("1_label.png", r"1_label\.png: no such file; expected the label map of 1\.png"),
    ],
)
def test_a_missing_file_is_named_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], lost: str, line: str
) -> None:
    files = pairs(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(LcTrtError, match=line):
        Dataset(files, 3)
    assert capfd.readouterr().err == ""  # OpenCV keeps quiet


def test_a_label_of_another_size_is_named(tmp_path: Path) -> None:
    files = pairs(tmp_path)
    cv2.imwrite(str(files[0].label), np.zeros((6, 8), np.uint8))
    with pytest.raises(
        LcTrtError, match=r"0_label\.png: uint8 \(6, 8\), expected uint8 \(6, 9\).* of 0\.png"
    ):
        Dataset(files, 3)[0]


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (np.zeros((*SIZE, 3), np.uint8), r"uint8 \(6, 9, 3\)"),
        (np.zeros(SIZE, np.uint16), r"uint16 \(6, 9\)"),
    ],
)
def test_a_label_of_another_kind_is_named(
    tmp_path: Path, stored: npt.NDArray[np.generic], found: str
) -> None:
    files = pairs(tmp_path)
    cv2.imwrite(str(files[0].label), stored)
    with pytest.raises(LcTrtError, match=rf"0_label\.png: {found}, expected uint8.*grayscale or"):
        Dataset(files, 3)[0]


@given(st.integers(1, 255), st.integers(0, 255))
def test_values_are_classes_or_refused(
    tmp_path_factory: pytest.TempPathFactory, classes: int, value: int
) -> None:
    files = pairs(tmp_path_factory.mktemp("values"), 1)
    stored = np.zeros(SIZE, np.uint8)
    stored[3, 4] = value
    cv2.imwrite(str(files[0].label), stored)
    samples = Dataset(files, classes)
    if value < classes or value == IGNORE:
        assert np.array_equal(samples[0].label, stored)
        return
    line = rf"0_label\.png: value {value}, expected 0 to {classes - 1} or 255"
    with pytest.raises(LcTrtError, match=line):
        samples[0]


@pytest.mark.parametrize("name", ["1.png", "1_label.png"])
def test_unreadable_images_are_named(tmp_path: Path, name: str) -> None:
    files = pairs(tmp_path)
    (tmp_path / name).write_bytes(b"not a picture")
    with pytest.raises(LcTrtError, match=rf"/{name}: not a readable image"):
        Dataset(files, 3)[1]


@pytest.mark.parametrize("left", [30, 200, 850])
def test_a_damaged_palette_is_named(tmp_path: Path, left: int) -> None:
    """Truncated within the header, the palette and the pixels."""
    files = pairs(tmp_path)
    noise = np.random.default_rng(0).integers(0, 21, SIZE).astype(np.uint8)
    write_palette(files[1].label, noise, bytes(range(256)) * 3)
    whole = files[1].label.read_bytes()
    assert left < len(whole)
    files[1].label.write_bytes(whole[:left])
    with pytest.raises(LcTrtError, match=r"1_label\.png: not a readable image"):
        Dataset(files, 21)[1]
