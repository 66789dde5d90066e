"""What a network is compiled for."""

from __future__ import annotations

from lc_trt.errors import UsageError

SMALLEST, LARGEST = 32, 8192  # pixels per side


def check_shape(size: tuple[int, int] | None, batch: int) -> None:
    """Refuse a (height, width) in pixels or a batch that no engine is built for."""
    if size is not None and not all(SMALLEST <= side <= LARGEST for side in size):
        raise UsageError(
            f"size {size[0]}x{size[1]}: expected HxW, each from {SMALLEST} to {LARGEST} pixels"
        )
    if batch < 1:
        raise UsageError(f"batch {batch}: expected at least 1")
