"""What every source does where it says nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lc_trt.video.base import Frame, Source


class Two(Source):
    """Two frames and a note of having been closed."""

    name, count, fps = "two", 2, None
    closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(2):
            yield Frame(np.full((2, 3, 3), index, np.uint8), index, f"two{index}")

    def close(self) -> None:
        self.closed = True


def test_a_source_is_ready_reads_no_file_and_reports_nothing_unless_it_says_so() -> None:
    source = Two()
    assert source.ready and list(source.files()) == [] and list(source.problems()) == []
    assert (source.audio_streams, source.dropped, source.reconnects) == (0, 0, 0)


def test_leaving_the_block_closes_it() -> None:
    with Two() as source:
        assert [frame.index for frame in source] == [0, 1]
        assert not source.closed
    assert source.closed


def test_frames_of_a_film_are_named_in_their_order() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    names = [Frame.of_video(image, index, index / 25).name for index in (0, 9, 10, 123456)]
    assert names == sorted(names) and len(set(names)) == 4
