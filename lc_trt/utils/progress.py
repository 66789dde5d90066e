"""How a build tells what it is doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ProgressMonitor:
    """Told how far a build has come. This one shows nothing; subclasses override what they show."""

    def step(self, what: str) -> None:
        """A step of the build begins, in words."""

    def start(self, phase: str, steps: int) -> None:
        """A phase within the step begins, of so many steps; phases nest."""

    def done(self, phase: str, steps: int) -> None:
        """So many of a phase's steps are done."""

    def finish(self, phase: str) -> None:
        """A phase has ended."""

    def warn(self, text: str) -> None:
        """Something the user should know."""

    @contextmanager
    def phase(self, what: str, steps: int) -> Iterator[Callable[[int], None]]:
        """A phase while the block runs, which gets a function that advances it by so many steps."""
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
