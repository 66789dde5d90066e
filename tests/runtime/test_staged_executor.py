"""Streams: in order, at most so much under way, and over at once when anything fails."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_models import bgr, toy_manifest, toy_model

from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.staged_executor import Stream

WITHIN = 1.0  # seconds in which everything has to end


def numbers(
    items: Iterator[int] | range, batch: int = 1, in_flight: int = 3, work: float = 0
) -> Stream[int]:
    """Items doubled, then one more: 2 * i + 1."""

    def slow(group: list[int]) -> list[int]:
        time.sleep(work)
        return group

    return Stream(
        items,
        lambda group: slow([2 * i for i in group]),
        lambda group: slow([i + 1 for i in group]),
        slow,
        batch=batch,
        in_flight=in_flight,
    )


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("lc-trt-")]


def wait_for_no_threads() -> None:
    deadline = time.monotonic() + WITHIN
    while threads():
        assert time.monotonic() < deadline, threads()
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    wait_for_no_threads()


@given(count=st.integers(0, 20), batch=st.integers(1, 5), in_flight=st.integers(1, 4))
def test_in_order_and_complete(count: int, batch: int, in_flight: int) -> None:
    assert list(numbers(range(count), batch, in_flight)) == [2 * i + 1 for i in range(count)]


@given(batch=st.integers(1, 4), in_flight=st.integers(1, 4))
def test_no_more_is_under_way_than_was_allowed(batch: int, in_flight: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while taken < 40:
            taken += 1
            yield taken

    with numbers(items(), batch, in_flight) as results:
        for done, _ in enumerate(results):
            # `done` results were done with before this one, in whole groups.
            assert taken <= done // batch * batch + in_flight * batch
            if done == 11:
                time.sleep(0.02)


def test_the_steps_overlap() -> None:
    start = time.perf_counter()
    assert len(list(numbers(range(10), work=0.03))) == 10
    overlapped = time.perf_counter() - start
    assert overlapped < 0.75 * 10 * 3 * 0.03
    start = time.perf_counter()
    list(numbers(range(10), work=0.03, in_flight=1))
    assert time.perf_counter() - start >= 10 * 3 * 0.03


def test_an_error_of_the_items_is_raised_at_once() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the camera is gone")

    start = time.monotonic()
    with pytest.raises(OSError, match="the camera is gone"):
        list(numbers(items(), work=0.01))
    assert time.monotonic() - start < WITHIN


def test_an_error_of_the_consumer_ends_the_threads() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    def consume() -> None:
        for result in numbers(endless()):
            raise ValueError(result)

    with pytest.raises(ValueError, match="3"):
        consume()
    gc.collect()
    wait_for_no_threads()


def test_an_abandoned_stream_ends() -> None:
    stream = numbers(range(100))
    assert next(stream) == 1
    del stream
    wait_for_no_threads()


def test_closing_does_not_wait_for_items_that_do_not_come() -> None:
    gate = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        gate.wait()

    stream = numbers(items())
    assert next(stream) == 3
    with pytest.raises(TimeoutError, match=r"no result within 0\.05 s"):
        stream.get(0.05)
    start = time.monotonic()
    stream.close()
    assert time.monotonic() - start < WITHIN
    with pytest.raises(StopIteration):
        stream.get(5)
    gate.set()


def test_another_thread_may_cancel_it() -> None:
    gate = threading.Event()

    def items() -> Iterator[int]:
        gate.wait()
        yield 1

    stream = numbers(items())
    closer = threading.Timer(0.05, stream.close)
    closer.start()
    start = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - start < WITHIN
    gate.set()
    closer.join()


def test_bounds_are_checked() -> None:
    with pytest.raises(UsageError, match="in_flight 0: expected at least 1"):
        numbers(range(3), in_flight=0)
    with pytest.raises(UsageError, match="batch 0: expected at least 1"):
        numbers(range(3), batch=0)


def toy(batch: int = 1) -> Segmenter:
    engine = open_onnx("onnxruntime", toy_model(batch=batch), threads=1)
    return Segmenter(engine, toy_manifest(batch=batch))


@pytest.mark.parametrize(("built", "batch"), [(1, None), (3, None), (3, 2)])
def test_a_segmenters_stream_equals_its_frames_one_by_one(built: int, batch: int | None) -> None:
    segmenter = toy(built)
    frames = [bgr(10 * i, 0, 30 * i, (20 + i, 50)) for i in range(8)]
    with segmenter.stream(iter(frames), "fast", batch=batch) as results:
        for frame, result in zip(frames, results, strict=True):
            alone = segmenter(frame, "fast")
            assert result.frame is frame and np.array_equal(result.labels, alone.labels)
            assert result.shares == alone.shares and set(result.timing) == set(alone.timing)


def test_streams_share_a_segmenter() -> None:
    segmenter = toy()
    wrong: list[int] = []

    def work(level: int) -> None:
        for result in segmenter.stream([bgr(0, 0, level)] * 20):
            if not (result.labels == level // 64).all():
                wrong.append(level)

    workers = [threading.Thread(target=work, args=(level,)) for level in (0, 70, 140)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_bad_frame_or_a_closed_engine_ends_the_stream() -> None:
    segmenter = toy()
    with pytest.raises(UsageError, match="COLOR_GRAY2BGR"):
        list(segmenter.stream([bgr(0, 0, 0), np.zeros((4, 5), np.uint8)]))
    with pytest.raises(UsageError, match="batch 2: the engine was built for 1"):
        segmenter.stream([], batch=2)
    segmenter.close()
    with pytest.raises(LcTrtError, match="closed"):
        list(segmenter.stream([bgr(0, 0, 0)]))
