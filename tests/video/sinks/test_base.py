"""Image sinks write atomically."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_models import bgr

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame
from lc_trt.video.sinks.base import FolderSink, PictureSink, UniqueNames, image_encoder

PNG = image_encoder(".png")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    PictureSink(tmp_path / "a.png", PNG).finish()
    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_suffix_selects_the_image_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink = PictureSink(path, image_encoder(suffix))
    picture = bgr(10, 200, 30)
    sink.write(picture, Frame(picture, 0, "a"))
    assert not path.exists()
    sink.finish()
    found = cv2.imread(str(path))
    assert found is not None and np.abs(found.astype(int) - picture).max() < 6


def test_an_image_that_cannot_be_encoded_is_an_error(tmp_path: Path) -> None:
    picture = bgr(0, 0, 0, (1, 70_000))  # JPEG holds 65535 at most
    sink = PictureSink(tmp_path / "out.jpg", image_encoder(".jpg"))
    sink.write(picture, Frame(picture, 0, "a"))
    with pytest.raises((LcTrtError, cv2.error)):
        sink.finish()
    sink.abort()
    assert names(tmp_path) == []


def test_equal_names_in_a_folder_get_numbers(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.png").write_bytes(b"x")
    sink = FolderSink(tmp_path / "out", PNG)
    for i, name in enumerate(("a", "b", "a")):
        sink.write(bgr(i, i, i), Frame(bgr(0, 0, 0), i, name))
    sink.finish()
    assert names(tmp_path / "out") == ["a.png", "a_2.png", "b.png", "other.png"]
    assert np.array_equal(cv2.imread(str(tmp_path / "out" / "a_2.png")), bgr(2, 2, 2))


def test_names_are_made_unique() -> None:
    taken = UniqueNames()
    assert [taken.unique(name) for name in ("a", "a", "b", "a_2", "a")] == [
        *("a", "a_2", "b", "a_2_2", "a_3")
    ]
