"""Ctrl-C as a question that a loop asks between two steps, not as an exception within one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lc_trt.cli import console


@contextmanager
def interrupts(message: str) -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C was pressed; a second one raises KeyboardInterrupt at once.

    Args:
        message: printed at the first, so that nobody takes the wait for a hang.
    """
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        # Not what was there before, which in a background job is to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        console.note(message)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
