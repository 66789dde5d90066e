"""Defaults of a source."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lc_trt.video.base import Frame, Source


class Two(Source):
    """Two frames; records that it was closed."""

    name, count, fps = "two", 2, None
    closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(2):
            yield Frame(np.full((2, 3, 3), index, np.uint8), index, f"two{index}")

    def close(self) -> None:
        self.closed = True


def test_defaults_of_a_source() -> None:
    source = Two()
    assert source.ready and list(source.files()) == [] and list(source.problems()) == []
    assert (source.audio_streams, source.dropped, source.reconnects) == (0, 0, 0)


def test_the_context_manager_closes_the_source() -> None:
    with Two() as source:
        assert [frame.index for frame in source] == [0, 1]
        assert not source.closed
    assert source.closed


def test_frames_of_a_video_are_numbered() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    names = [Frame.of_video(image, index, index / 25).name for index in (0, 9, 10, 123456)]
    assert names == sorted(names) and len(set(names)) == 4
