"""Raw frames through a pipe."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.errors import LcTrtError
from lc_trt.video.sources.raw import RawFrames


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    count=st.integers(0, 5),
    rest=st.integers(0, 242),
    piece=st.integers(1, 400),
)
def test_frames_are_assembled_from_partial_reads(
    size: tuple[int, int], count: int, rest: int, piece: int
) -> None:
    frames = np.random.default_rng(count).integers(0, 256, (count, *size, 3), np.uint8)
    rest %= size[0] * size[1] * 3
    content = frames.tobytes() + bytes(rest)
    reading, writing = os.pipe()
    for start in range(0, len(content), piece):
        os.write(writing, content[start : start + piece])
    os.close(writing)
    with RawFrames(size, reading, fps=10) as source:
        found = list(source)
        assert source.ready
    os.close(reading)
    assert np.array_equal([frame.image for frame in found], frames) or not count
    assert len(found) == count
    assert [frame.time for frame in found] == pytest.approx([i / 10 for i in range(count)])
    whole = size[0] * size[1] * 3
    assert source.problems() == (
        (f"the last frame is incomplete: {rest} of {whole} bytes of {size[1]}x{size[0]} BGR",)
        if rest
        else ()
    )


def test_closing_unblocks_a_silent_pipe() -> None:
    reading, writing = os.pipe()
    source = RawFrames((2, 2), reading)
    assert not source.ready
    threading.Timer(0.05, source.close).start()
    start = time.monotonic()
    assert list(source) == []
    assert time.monotonic() - start < 1
    os.close(reading)
    os.close(writing)


def test_a_terminal_is_refused() -> None:
    primary, secondary = os.openpty()
    with pytest.raises(LcTrtError, match="stdin: a terminal, expected a pipe"):
        RawFrames((2, 2), secondary)
    os.close(primary)
    os.close(secondary)
