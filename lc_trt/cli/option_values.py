"""Values of options that several subcommands take."""

from __future__ import annotations

import math
import re

from lc_trt.errors import UsageError


def size(option: str, text: str) -> tuple[int, int]:
    """``300x500`` as (height, width)."""
    found = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text.strip())
    if not found:
        raise UsageError(f"{option} {text!r}: expected HxW in pixels, as in 300x500")
    return int(found[1]), int(found[2])


def width_height(option: str, text: str) -> tuple[int, int]:
    """``640x480``, width first as FFmpeg and cameras say it, as (height, width)."""
    found = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text.strip())
    if not found:
        raise UsageError(f"{option} {text!r}: expected WxH in pixels, as in 640x480")
    return int(found[2]), int(found[1])


def capabilities(option: str, text: str) -> tuple[str, ...]:
    """``8.6,8.9`` as compute capabilities; sm_89 and SM89 are 8.9, too."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"(?:(?i:sm)_?(\d{1,2})|(\d{1,2})\.)(\d)", part.strip())
        if match is None:
            raise UsageError(f"{option} {text!r}: expected numbers, as in 8.6,8.9")
        found.append(f"{match[1] or match[2]}.{match[3]}")
    return tuple(dict.fromkeys(found))


def one_of(what: str, **given: bool) -> str | None:
    """The name of the flag that is given; None where none is."""
    names = [name for name, wanted in given.items() if wanted]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in names)}: expected one {what}")
    return names[0] if names else None


def thresholds(option: str, text: str) -> tuple[float, float]:
    """``0.985`` or ``0.985,0.97`` as a pair."""
    from lc_trt.bundle.thresholds import as_pair

    values = numbers(option, text)
    try:
        return as_pair(values)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def three(option: str, text: str) -> tuple[float, float, float]:
    """``1,2,3`` as three numbers."""
    values = numbers(option, text)
    if len(values) != 3:
        raise UsageError(f"{option} {text!r}: expected three numbers, as in 123.7,116.3,103.5")
    return values[0], values[1], values[2]


def numbers(option: str, text: str) -> list[float]:
    """Numbers with commas between."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise UsageError(f"{option} {text!r}: expected numbers with commas between")
    return values
