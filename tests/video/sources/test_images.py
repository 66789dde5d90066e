"""Images are read as upright 8-bit colour; unreadable ones are reported."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data
from toy_models import bgr

from lc_trt.errors import LcTrtError
from lc_trt.video.sources.images import Images
from lc_trt.video.sources.open import open_source
from lc_trt.video.sources.video_file import VideoFile


def only(path: Path) -> np.ndarray:
    (frame,) = open_source(str(path))
    assert frame.image.dtype == np.uint8
    return frame.image


def test_any_number_of_channels_and_bits_becomes_colour(tmp_path: Path) -> None:
    colour = np.ascontiguousarray(data.coffee()[:97, :131, ::-1])
    grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    alpha = np.dstack([colour, np.full(grey.shape, 9, np.uint8)])
    for name, image, expected in (
        ("colour.png", colour, colour),
        ("grey.png", grey, np.dstack([grey] * 3)),
        ("alpha.png", alpha, colour),
        ("colour16.png", colour.astype(np.uint16) * 257, colour),
        ("grey16.tif", grey.astype(np.uint16) * 257, np.dstack([grey] * 3)),
        ("alpha16.png", alpha.astype(np.uint16) * 257, colour),
    ):
        assert cv2.imwrite(str(tmp_path / name), image)
        assert np.array_equal(only(tmp_path / name), expected), name


@pytest.mark.parametrize(
    ("orientation", "turns"),
    [(1, 0), (3, 2), (6, -1), (8, 1)],  # EXIF 2.3, table 6; turns counter-clockwise as NumPy's
)
def test_the_exif_orientation_is_applied(tmp_path: Path, orientation: int, turns: int) -> None:
    upright = data.coffee()[:96, :160]
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    stored = Pillow.fromarray(np.rot90(upright, -turns))
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = only(tmp_path / "a.jpg")
    assert found.shape == upright.shape
    assert np.abs(found[:, :, ::-1].astype(int) - upright).mean() < 4


def test_a_damaged_image_is_skipped_and_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), bgr(0, 0, 0))
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:20])
    source = open_source(str(tmp_path))
    assert [(f.index, f.name) for f in source] == [(0, "a"), (1, "c")]
    assert source.problems() == [f"{tmp_path / 'b.png'}: a damaged image; remove or replace it"]
    (tmp_path / "c.png").write_bytes(whole[:20])
    source = open_source(str(tmp_path))
    assert len(list(source)) == 1
    (sentence,) = source.problems()
    assert sentence.startswith("2 images with problems; the first: ") and "b.png" in sentence
    (tmp_path / "a.png").write_bytes(whole[:20])
    with pytest.raises(LcTrtError, match=r"c\.png: a damaged image"):
        list(open_source(str(tmp_path)))
    assert capfd.readouterr().out == ""


def test_files_without_images_are_refused_before_the_run(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), bgr(0, 0, 0))
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(LcTrtError, match=r"b\.png: not an image that OpenCV reads"):
        open_source(str(tmp_path))


def test_a_truncated_photograph_is_used_and_reported(tmp_path: Path) -> None:
    """With a thumbnail, whose end marker must not count as the photograph's."""
    photograph = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    thumbnail = cv2.imencode(".jpg", photograph[::8, ::8])[1].tobytes()
    whole = cv2.imencode(".jpg", photograph)[1].tobytes()
    comment = b"\xff\xfe" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = whole[:2] + comment + whole[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(whole)
    source = open_source(str(path))
    assert len(list(source)) == 1 and not source.problems()
    path.write_bytes(whole[: len(whole) // 2])
    source = open_source(str(path))
    (frame,) = source
    assert np.array_equal(frame.image.shape, photograph.shape)
    assert np.abs(frame.image[:100].astype(int) - photograph[:100]).mean() < 5
    assert source.problems() == [f"{path}: truncated; the missing part is gray"]


def test_values_that_are_not_colours_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), np.ones((9, 9), np.float32))
    with pytest.raises(LcTrtError, match=r"a\.tif: float32 pixels, expected .* 8 or 16"):
        only(path)
    assert capfd.readouterr() == ("", "")  # no chatter of OpenCV's


def test_a_header_with_an_excessive_size_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 2000000000 2000000000 255\n" + bytes(100))
    with pytest.raises(LcTrtError, match=r"a\.ppm: a damaged image"):
        only(path)


@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_an_animated_image_is_a_video(tmp_path: Path, name: str) -> None:
    pictures = [Pillow.new("RGB", (64, 48), (50 * i, 0, 0)) for i in range(5)]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=100)
    source = open_source(str(tmp_path / name))
    assert isinstance(source, VideoFile)
    frames = list(source)
    assert [frame.image[0, 0].tolist() for frame in frames] == [[0, 0, 50 * i] for i in range(5)]
    assert [frame.time for frame in frames] == pytest.approx([0.1 * i for i in range(5)])
    pictures[1].save(tmp_path / name)
    assert isinstance(open_source(str(tmp_path / name)), Images)


@pytest.mark.parametrize("name", ["a.webp", "a.tif"])
def test_additional_pages_are_reported(tmp_path: Path, name: str) -> None:
    pictures = [Pillow.new("RGB", (64, 48), (50 * i, 0, 0)) for i in range(5)]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
    source = open_source(str(tmp_path / name))
    assert len(list(source)) == 1
    assert source.problems() == [f"{tmp_path / name}: holds 5 images; only the first is used"]
