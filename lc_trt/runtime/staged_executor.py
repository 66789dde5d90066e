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

_CLOSE_TIMEOUT = 0.5  # seconds that closing waits for a step under way


class Stream(Generic[Out]):
    """Results in the order of their items.

    One thread reads and prepares, another infers; ``finish`` runs in the consumer's thread. So
    reading, inference and drawing overlap.

    It ends when the items do, when `close` is called from any thread, or when the items or a step
    raise: `get` then raises the error at once, and work under way is dropped. A stream left before
    its end is closed at the end of its ``with`` block, else when it is garbage collected.
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
            items: the input; one thread iterates it.
            prepare: takes up to ``batch`` items.
            infer: takes what ``prepare`` returns.
            finish: takes what ``infer`` returns, and returns one result per item.
            batch: items per group.
            in_flight: maximum number of groups between being read and the last of their results
                being released (when the next is asked for). With 1 nothing overlaps.

        Raises:
            UsageError: ``batch`` or ``in_flight`` below 1.
        """
        for name, value in (("batch", batch), ("in_flight", in_flight)):
            if value < 1:
                raise UsageError(f"{name} {value}: expected at least 1")
        # The threads refer to the pipe only, so that an abandoned stream can be collected.
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
            timeout: seconds to wait for it; None waits for as long as it takes.

        Raises:
            StopIteration: there is none, or the stream was closed.
            TimeoutError: not within ``timeout``; ask again.
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
        """End the stream now, dropping work under way; waits briefly for the threads."""
        self._ready.clear()
        self._pipe.stop()
        deadline = monotonic() + _CLOSE_TIMEOUT
        for thread in self._threads:
            if thread is not threading.current_thread():
                # A thread blocked in the items ends as soon as they return.
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
        # Not close(): whoever drops the last reference may hold what a thread waits for.
        if hasattr(self, "_pipe"):
            self._pipe.stop()


class _Pipe:
    """The queues between the steps, under one lock."""

    def __init__(self, slots: int) -> None:
        self._changed = threading.Condition()
        self._slots = slots
        self._held = False  # a slot, by the group whose results are being given out
        self._prepared: deque[Any] = deque()
        self._inferred: deque[Any] = deque()
        self._unfinished = 2  # threads that may still add a group
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
        """Wait for room for another group; False when stopped."""
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
        """The calling thread adds no more groups."""
        with self._changed:
            self._unfinished -= 1
            self._changed.notify_all()

    def next_prepared(self) -> Any:
        """The next group to infer; None when no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._prepared or self._stopped or self._unfinished < 2)
            return self._prepared.popleft() if self._prepared else None

    def wait(self, timeout: float | None) -> bool:
        """Release the slot of the previous group, and wait until `next_inferred` can return."""
        with self._changed:
            if self._held:
                self._held = False
                self._slots += 1
                self._changed.notify_all()
            return self._changed.wait_for(
                lambda: bool(self._inferred or self._stopped or self._unfinished == 0), timeout
            )

    def next_inferred(self) -> Any:
        """The next group to finish, None at the end; raises the error of a step."""
        with self._changed:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if not self._inferred:
                return None
            self._held = True
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
