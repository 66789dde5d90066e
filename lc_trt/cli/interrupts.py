"""Ctrl-C as a question that a loop asks between two steps, not as an exception within one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lc_trt.cli import console

# A service manager or a container ends a program with the second.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts(message: str) -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C was pressed, or SIGTERM came; a second one raises KeyboardInterrupt.

    Args:
        message: printed at the first, so that nobody takes the wait for a hang.
    """
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        # Not what was there before, which in a background job is to ignore it.
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)
        console.note(message)

    before = {number: signal.signal(number, press) for number in _SIGNALS}
    try:
        yield lambda: pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
