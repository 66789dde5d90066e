"""How far a piece of work has come: what the library reports and the command line shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SizedIterable(Protocol[T_co]):
    """What can be iterated over and knows its length."""

    def __iter__(self) -> Iterator[T_co]:
        """Iterate over the items."""

    def __len__(self) -> int:
        """Return how many items there are."""


class ProgressMonitor:
    """Receives progress and warnings. This one ignores them; subclasses show what they override.

    Phases nest: one that starts while another is open is part of it.
    """

    def start(self, phase: str, steps: int) -> None:
        """A phase begins.

        Args:
            phase: its name, as in "calibrating"; no two open phases share one.
            steps: how many steps it has.
        """

    def done(self, phase: str, steps: int) -> None:
        """Some of a phase's steps are done.

        Args:
            phase: its name.
            steps: how many are done, all in all.
        """

    def finish(self, phase: str) -> None:
        """A phase has ended, also by an exception.

        Args:
            phase: its name.
        """

    def warn(self, text: str) -> None:
        """Something that is no error but that the user should know.

        Args:
            text: one sentence.
        """

    @contextmanager
    def phase(self, what: str, steps: int) -> Iterator[Callable[[int], None]]:
        """A phase that is open while the block runs.

        Args:
            what: its name.
            steps: how many steps it has.

        Returns:
            A context whose value is called with the number of further steps that are done.
        """
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            self.done(what, done)

        self.start(what, steps)
        try:
            yield advance
        finally:
            self.finish(what)

    def track(self, what: str, items: SizedIterable[T]) -> Iterator[T]:
        """A phase with one step per item, open while the items are iterated over.

        Args:
            what: its name.
            items: what to iterate over.
        """
        with self.phase(what, len(items)) as advance:
            for item in items:
                yield item
                advance(1)


SILENT = ProgressMonitor()
