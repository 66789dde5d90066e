"""Label maps as files, read back with Pillow and NumPy."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame
from lc_trt.video.sinks.labels import NpzSink, RawLabels, palette_png

COLOURS = ((70, 130, 180), (128, 64, 128), (0, 0, 142))


def maps(count: int, size: tuple[int, int] = (5, 7), seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 3, size, np.uint8) for _ in range(count)]


def frame(name: str) -> Frame:
    return Frame(np.zeros((5, 7, 3), np.uint8), 0, name)


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99))
def test_a_palette_png_holds_labels_and_colours(size: tuple[int, int], seed: int) -> None:
    labels = maps(1, size, seed)[0]
    image = Image.open(io.BytesIO(palette_png(COLOURS)(labels)))
    assert image.mode == "P" and np.array_equal(np.asarray(image), labels)
    assert np.array_equal(np.asarray(image.convert("RGB")), np.array(COLOURS, np.uint8)[labels])


def test_an_npz_contains_label_maps_by_name(tmp_path: Path) -> None:
    sink = NpzSink(tmp_path / "out.npz")
    stored = maps(3)
    for name, labels in zip(("a", "b", "a"), stored, strict=True):
        sink.write(labels, frame(name))
    assert not (tmp_path / "out.npz").exists()
    sink.finish()
    with np.load(tmp_path / "out.npz") as archive:
        assert list(archive) == ["a", "b", "a_2"]
        assert all(np.array_equal(a, b) for a, b in zip(archive.values(), stored, strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["out.npz"]


@pytest.mark.parametrize("written", [0, 1])
def test_an_aborted_npz_leaves_nothing(tmp_path: Path, written: int) -> None:
    sink = NpzSink(tmp_path / "out.npz")
    for labels in maps(written):
        sink.write(labels, frame("a"))
    sink.abort()
    NpzSink(tmp_path / "none.npz").finish()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with (
        open(writing, "wb", buffering=0) as pipe,
        pytest.raises(LcTrtError, match="stdout: closed by the reading program"),
    ):
        RawLabels(pipe).write(maps(1)[0], frame("a"))


def test_raw_labels_are_bytes_in_order() -> None:
    pipe = io.BytesIO()
    sink = RawLabels(pipe)
    stored = maps(2)
    for labels in stored:
        sink.write(labels, frame("a"))
    sink.finish()
    assert pipe.getvalue() == stored[0].tobytes() + stored[1].tobytes()
