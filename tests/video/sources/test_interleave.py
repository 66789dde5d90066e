"""Several sources as one, round-robin, without waiting for a silent one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.video.base import Frame, Source
from lc_trt.video.sources.interleave import interleave


class Counting(Source):
    """A number of frames; with a gate, only once it is open."""

    fps = None

    def __init__(self, count: int, gate: threading.Event | None = None) -> None:
        self.name, self.count, self.gate = "counting", count, gate

    @property
    def ready(self) -> bool:
        return self.gate is None or self.gate.is_set()

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self.count or 0):
            assert self.ready, "asked for a frame it does not have"
            yield Frame(np.zeros((1, 1, 3), np.uint8), i, str(i))


@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    limit=st.none() | st.integers(1, 4),
)
def test_sources_are_interleaved_round_robin(counts: list[int], limit: int | None) -> None:
    order = [
        (frame.source, frame.index) for frame in interleave([Counting(c) for c in counts], limit)
    ]
    expected = [
        (number, index)
        for index in range(max(counts))
        for number, count in enumerate(counts)
        if index < min(count, limit or count)
    ]
    assert order == expected


def test_a_silent_source_does_not_block_the_others() -> None:
    gate = threading.Event()
    order = []
    for frame in interleave([Counting(4), Counting(2, gate), Counting(3)]):
        order.append(frame.source)
        if len(order) == 6:
            gate.set()
    assert order[:6] == [0, 2, 0, 2, 0, 2] and sorted(order[6:]) == [0, 1, 1]


def test_it_counts_the_remaining_sources() -> None:
    left: list[int] = []
    order = []
    for frame in interleave([Counting(1), Counting(3), Counting(0)], on_running=left.append):
        order.append((frame.source, left[-1]))
    assert order == [(0, 3), (1, 3), (1, 1), (1, 1)]
    assert left == [3, 2, 1, 0]
