"""What the subcommands print with: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # rich is imported when something is printed: `lc-trt --version` stays quick
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

_PIPED_WIDTH = 160  # characters; a pipe has no width, and a table must not lose columns to 80


@dataclass
class Settings:
    """The options before the subcommand's name, and all arguments as they were given."""

    debug: bool = False
    quiet: bool = False
    arguments: tuple[str, ...] = ()


settings = Settings()


@cache
def out() -> Console:
    """The console of results: stdout."""
    return _console(stderr=False)


@cache
def err() -> Console:
    """The console of progress, notes, warnings and errors: stderr."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _PIPED_WIDTH)


def error(message: str) -> None:
    """One red line ``error: message`` on stderr, also when quiet."""
    _line(f"error: {message}", "red")


def warn(message: str) -> None:
    """One yellow line ``warning: message`` on stderr."""
    if not settings.quiet:
        _line(f"warning: {message}", "yellow")


def note(message: str) -> None:
    """One line on stderr."""
    if not settings.quiet:
        _line(message, None)


@contextmanager
def log(shown: bool) -> Iterator[None]:
    """Notes of everything that the package logs while the block runs.

    Args:
        shown: False leaves logging as it is.
    """
    import logging

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note(record.getMessage())

    logger, handler = logging.getLogger("lc_trt"), Notes()
    level = logger.level
    if shown:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _line(text: str, style: str | None) -> None:
    # No markup: a message may hold brackets, as in 'lc-trt[train]'.
    text = " ".join(text.split("\n"))
    err().print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Table:
    """A table of ready strings; a column whose cells all start with a digit or a sign is numeric.

    Numeric columns are set to the right. Print it with ``out().print(...)``.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(row[index][:1] in "0123456789+-." for row in rows)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


class Bars:
    """A progress bar on stderr, and more under it for phases within a step."""

    def __init__(self, progress: Progress, description: str, total: int | None) -> None:
        self._progress = progress
        self._whole = progress.add_task(description, total=total)
        self._phases: dict[str, TaskID] = {}

    def advance(self, steps: int) -> None:
        """So many more steps of the whole are done."""
        self._progress.advance(self._whole, steps)

    def start(self, phase: str, steps: int) -> None:
        """A phase with so many steps begins."""
        self._phases[phase] = self._progress.add_task(f"  {phase}", total=steps)

    def done(self, phase: str, steps: int) -> None:
        """So many steps of a phase are done."""
        if phase in self._phases:
            self._progress.update(self._phases[phase], completed=steps)

    def refresh(self) -> None:
        """Draw now; otherwise that happens a few times a second."""
        self._progress.refresh()

    def finish(self, phase: str) -> None:
        """A phase has ended; its bar goes."""
        if phase in self._phases:
            self._progress.remove_task(self._phases.pop(phase))


@contextmanager
def bars(description: str, total: int | None = None) -> Iterator[Bars]:
    """A progress bar on stderr while the block runs, with room for phases.

    Args:
        description: what is going on, for example ``"building"``.
        total: steps in all; None where nobody knows (a webcam): the bar then pulses.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    shown = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(elapsed_when_finished=True),
        console=err(),
        disable=settings.quiet or not err().is_terminal,
    )
    with shown:
        yield Bars(shown, description, total)


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """`bars` without phases: the block gets a function that advances it by so many steps."""
    with bars(description, total) as shown:
        yield shown.advance
