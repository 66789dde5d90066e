"""Ctrl-C as a flag that a loop reads between two steps, not as an exception within one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lc_trt.cli import console

# Service managers and containers stop a program with the second.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts(message: str) -> Iterator[Callable[[], bool]]:
    """Catch the first Ctrl-C or SIGTERM while the block runs; a second raises KeyboardInterrupt.

    Args:
        message: printed at the first, so that nobody takes the wait for a hang.

    Returns:
        A context whose value returns whether a signal came.
    """
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        # Not the previous handler, which in a background job ignores the signal.
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)
        console.note(message)

    before = {number: signal.signal(number, press) for number in _SIGNALS}
    try:
        yield lambda: pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
