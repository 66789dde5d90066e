"""A bounded, ordered pipeline of three steps that run concurrently."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import monotonic
from typing import Any, Generic, TypeVar

from lc_trt.errors import UsageError

Item = TypeVar("Item")
Out = TypeVar("Out")

_CLOSE_TIMEOUT = 0.5  # seconds that closing waits for a running step


class Stream(Generic[Out]):
    """An iterator over results, in the order of the items.

    One thread reads and prepares, another infers; ``finish`` runs in the consumer's thread, so
    that reading, inference and drawing overlap.

    The stream ends with the items, when `close` is called from any thread, or when the items or a
    step raise: `get` then raises the exception at once, and batches in flight are dropped. An
    unfinished stream is closed at the end of its ``with`` block, or when garbage collected.
    """

    def __init__(
        self,
        items: Iterable[Item],
        prepare: Callable[[list[Item]], Any],
        infer: Callable[[Any], Any],
        finish: Callable[[Any], list[Out]],
        *,
        batch: int,
        in_flight: int,
    ) -> None:
        """Start the threads.

        Args:
            items: input, iterated in a thread.
            prepare: called with a batch, up to ``batch`` items.
            infer: called with the result of ``prepare``.
            finish: called with the result of ``infer``; returns one result per item.
            batch: items per batch.
            in_flight: maximum number of batches in flight, from reading until the result after
                their last one is requested. With 1, nothing overlaps.

        Raises:
            UsageError: ``batch`` or ``in_flight`` below 1.
        """
        for name, value in (("batch", batch), ("in_flight", in_flight)):
            if value < 1:
                raise UsageError(f"{name} {value}: expected at least 1")
        # The threads reference only the pipe, so that an abandoned stream can be collected.
        self._pipe = _Pipe(in_flight)
        self._finish = finish
        self._ready: deque[Out] = deque()
        self._threads = [
            threading.Thread(target=work, args=arguments, name=f"lc-trt-{name}", daemon=True)
            for name, work, arguments in (
                ("prepare", _prepare_all, (self._pipe, items, prepare, batch)),
                ("infer", _infer_all, (self._pipe, infer)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def get(self, timeout: float | None = None) -> Out:
        """The next result.

        Args:
            timeout: seconds to wait; None waits indefinitely.

        Raises:
            StopIteration: the stream has ended or was closed.
            TimeoutError: no result within ``timeout``; call again.
        """
        while not self._ready:
            if not self._pipe.wait(timeout):
                raise TimeoutError(f"no result within {timeout} s")
            try:
                group = self._pipe.next_inferred()
                if group is None:
                    raise StopIteration
                self._ready.extend(self._finish(group))
            except BaseException:
                self.close()
                raise
        return self._ready.popleft()

    def close(self) -> None:
        """End the stream, drop batches in flight, and wait briefly for the threads."""
        self._ready.clear()
        self._pipe.stop()
        deadline = monotonic() + _CLOSE_TIMEOUT
        for thread in self._threads:
            if thread is not threading.current_thread():
                # A thread that is blocked in the items ends once they return.
                thread.join(max(0.0, deadline - monotonic()))

    def __iter__(self) -> Iterator[Out]:
        return self

    def __next__(self) -> Out:
        return self.get()

    def __enter__(self) -> Stream[Out]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Not close(): the last reference may be dropped while holding a lock of the threads.
        if hasattr(self, "_pipe"):
            self._pipe.stop()


class _Pipe:
    """The queues between the steps, under one lock."""

    def __init__(self, slots: int) -> None:
        self._changed = threading.Condition()
        self._slots = slots
        self._slot_in_use = False  # by the batch whose results are being consumed
        self._prepared: deque[Any] = deque()
        self._inferred: deque[Any] = deque()
        self._unfinished = 2  # threads that may still add a batch
        self._stopped = False
        self._error: BaseException | None = None

    def stop(self, error: BaseException | None = None) -> None:
        with self._changed:
            if not self._stopped:
                self._error = error
            self._stopped = True
            self._prepared.clear()
            self._inferred.clear()
            self._changed.notify_all()

    def take_slot(self) -> bool:
        """Wait for a free slot; return False if the pipe was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._slots or self._stopped)
            self._slots -= 1
            return not self._stopped

    def add_prepared(self, group: Any) -> None:
        self._add(self._prepared, group)

    def add_inferred(self, group: Any) -> None:
        self._add(self._inferred, group)

    def _add(self, queue: deque[Any], group: Any) -> None:
        with self._changed:
            if not self._stopped:
                queue.append(group)
                self._changed.notify_all()

    def done(self) -> None:
        """Declare that the calling thread adds no more batches."""
        with self._changed:
            self._unfinished -= 1
            self._changed.notify_all()

    def next_prepared(self) -> Any:
        """The next batch to infer; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._prepared or self._stopped or self._unfinished < 2)
            return self._prepared.popleft() if self._prepared else None

    def wait(self, timeout: float | None) -> bool:
        """Release the slot of the previous batch; wait until `next_inferred` can return."""
        with self._changed:
            if self._slot_in_use:
                self._slot_in_use = False
                self._slots += 1
                self._changed.notify_all()
            return self._changed.wait_for(
                lambda: bool(self._inferred or self._stopped or self._unfinished == 0), timeout
            )

    def next_inferred(self) -> Any:
        """The next batch to finish; None at the end. Raises the exception of a step."""
        with self._changed:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if not self._inferred:
                return None
            self._slot_in_use = True
            return self._inferred.popleft()


def _prepare_all(
    pipe: _Pipe, items: Iterable[Item], prepare: Callable[[list[Item]], Any], batch: int
) -> None:
    try:
        iterator = iter(items)
        while pipe.take_slot():
            group = list(islice(iterator, batch))
            if not group:
                break
            pipe.add_prepared(prepare(group))
    except BaseException as error:
        pipe.stop(error)
    finally:
        pipe.done()


def _infer_all(pipe: _Pipe, infer: Callable[[Any], Any]) -> None:
    try:
        while (group := pipe.next_prepared()) is not None:
            pipe.add_inferred(infer(group))
    except BaseException as error:
        pipe.stop(error)
    finally:
        pipe.done()
