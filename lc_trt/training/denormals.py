"""Denormal numbers, which CPUs multiply slowly, as 0 while a network trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormal numbers to 0 in this thread, and not afterwards.

    Gradients of rarely active channels become denormal, and steps slower and slower. Torch's
    threads inherit the mode when they start, with its first parallel operation.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
