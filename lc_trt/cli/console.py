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
    from rich.progress import Progress
    from rich.table import Table

_PIPED_WIDTH = 160  # characters; a pipe has no width, and a table must not lose columns to 80


@dataclass
class Settings:
    """The options before the subcommand's name."""

    debug: bool = False
    quiet: bool = False


settings = Settings()
_running: list[Progress] = []  # the bar on the screen


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


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; the block gets a function that advances it by so many steps.

    Args:
        description: what is going on, for example ``"building"``.
        total: steps in all; None where nobody knows (a webcam): the bar then pulses.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    if _running:  # rich draws one at a time: a bar within a bar is a line of it
        task = _running[0].add_task(description, total=total)
        yield lambda steps: _running[0].advance(task, steps)
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(elapsed_when_finished=True),
        console=err(),
        disable=settings.quiet or not err().is_terminal,
    )
    with bar:
        task = bar.add_task(description, total=total)
        _running.append(bar)
        try:
            yield lambda steps: bar.advance(task, steps)
        finally:
            _running.clear()
