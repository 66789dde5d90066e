"""Calibration images: any format and size, a fixed order, and a hash that tells lists apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_networks import frames

from lc_trt.data.images import list_images, read_image, spread
from lc_trt.errors import LcTrtError


def test_all_that_opencv_reads_counts_and_nothing_else(tmp_path):
    image = frames(1, (20, 31))[0]
    names = ["b.png", "a.jpg", "c.bmp", "d.tiff", "e.webp", "f.ppm", "g"]
    for name in names[:-1]:
        assert cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "g").write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "labels" / "x.png"), image)
    found = list_images(tmp_path)
    assert [f.name for f in found.files] == sorted(names)
    assert [f.name for f in list_images(f"{tmp_path}/*.png").files] == ["b.png"]
    for file in found.files:
        read = read_image(file)
        assert read is not None and read.shape == (20, 31, 3) and read.dtype == np.uint8


def test_other_depths_are_read_as_bgr(tmp_path):
    grey = np.full((8, 9), 40_000, np.uint16)
    for name, image in {"grey.png": grey, "alpha.png": np.zeros((8, 9, 4), np.uint8)}.items():
        cv2.imwrite(str(tmp_path / name), image)
        read = read_image(tmp_path / name)
        assert read is not None and read.shape == (8, 9, 3) and read.dtype == np.uint8


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(LcTrtError, match=r"no images in it \(0 other files\)"):
        list_images(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(LcTrtError, match=r"no images in it \(1 other files\)"):
        list_images(tmp_path)
    with pytest.raises(LcTrtError, match="no such folder; expected a folder of images"):
        list_images(tmp_path / "none")


def test_the_hash_is_of_names_sizes_and_choice_not_of_the_folder(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for i, image in enumerate(frames(6, (8, 8))):
            cv2.imwrite(str(tmp_path / folder / f"{i}.png"), image)
    one, two = list_images(tmp_path / "one"), list_images(tmp_path / "two")
    assert one.digest == two.digest != one.subset(5).digest
    chosen, held_out = one.split(2)
    assert len(chosen) == 4 and len(held_out) == 2
    assert {*chosen.files, *held_out.files} == set(one.files)
    (tmp_path / "two" / "0.png").write_bytes(b"other")
    assert list_images(tmp_path / "two").digest != one.digest


def test_a_broken_file_reads_as_none(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    assert [f.name for f in list_images(tmp_path).files] == ["broken.jpg"]
    assert read_image(tmp_path / "broken.jpg") is None


@given(st.integers(1, 300), st.integers(1, 320))
def test_spread_is_even(total: int, count: int) -> None:
    found = spread(total, count)
    assert len(found) == min(total, count)
    assert found == sorted(set(found))
    assert found[0] == 0 and found[-1] < total
    gaps = {b - a for a, b in zip(found, [*found[1:], total], strict=True)}
    assert max(gaps) - min(gaps) <= 1
