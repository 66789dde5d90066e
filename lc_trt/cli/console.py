"""Output of the subcommands: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lc_trt.utils.progress import ProgressMonitor

if TYPE_CHECKING:  # rich is imported when something is printed: `lc-trt --version` stays quick
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.table import Table

_PIPED_WIDTH = 160  # characters; a pipe has no width, and a table must not lose columns to 80


@dataclass
class Settings:
    """The options before the subcommand's name, and the command line.

    Attributes:
        debug: show the traceback of an error.
        quiet: show no progress, notes and warnings.
        arguments: all arguments, as they were typed.
    """

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


def show(*parts: str | Table) -> None:
    """Print parts of a result on stdout.

    Args:
        *parts: tables, and text, which is printed as it is: neither markup nor wrapped.
    """
    for part in parts:
        if isinstance(part, str):
            out().print(part, markup=False, highlight=False, soft_wrap=True)
        else:
            out().print(part)


def error(message: str) -> None:
    """Print one red line ``error: MESSAGE`` on stderr, also when quiet.

    Args:
        message: names the file or option, what was found, what was expected, and the remedy.
    """
    _line(f"error: {message}", "red")


def warn(message: str) -> None:
    """Print one yellow line ``warning: MESSAGE`` on stderr, unless quiet.

    Args:
        message: one sentence.
    """
    if not settings.quiet:
        _line(f"warning: {message}", "yellow")


def note(message: str) -> None:
    """Print one line on stderr, unless quiet.

    Args:
        message: the line.
    """
    if not settings.quiet:
        _line(message, None)


@contextmanager
def log(shown: bool) -> Iterator[None]:
    """Print everything that the package logs while the block runs, as notes.

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
    """A table for `show`.

    Args:
        columns: headings.
        rows: formatted cells, one per column. A column whose cells all start with a digit or a
            sign is aligned to the right.
        title: above the table.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    result = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(row[index][:1] in "0123456789+-." for row in rows)
        result.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text(cell) for cell in row))
    return result


def bars(*columns: ProgressColumn | str) -> Progress:
    """Progress bars on stderr: a name, a bar, steps done of all, time left.

    Nothing is drawn where stderr is no terminal, or with ``--quiet``.

    Args:
        *columns: further ones, before the time left (`rich.progress.Progress`).
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        Remaining(elapsed_when_finished=True),
        console=err(),
        disable=settings.quiet or not err().is_terminal,
    )


class BarMonitor(ProgressMonitor):
    """A bar for each open phase, those within another indented; warnings on stderr.

    The bar of an outermost phase stays on the screen after its end.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def start(self, phase: str, steps: int) -> None:
        """Draw its bar."""
        if self._bars is None:
            self._bars = bars()
            self._bars.start()
        indented = "  " * len(self._tasks) + phase
        self._tasks[phase] = self._bars.add_task(indented, total=steps)

    def done(self, phase: str, steps: int) -> None:
        """Move its bar."""
        if self._bars is not None and phase in self._tasks:
            self._bars.update(self._tasks[phase], completed=steps)

    def finish(self, phase: str) -> None:
        """Remove its bar, or leave it where it is the outermost one."""
        task = self._tasks.pop(phase, None)
        if self._bars is None or task is None:
            return
        if self._tasks:
            self._bars.remove_task(task)
        else:
            self._bars.stop()
            self._bars = None

    def warn(self, text: str) -> None:
        """Print it."""
        warn(text)
