"""Parsers of option values. Their errors name the option."""

from __future__ import annotations

import math
import re

from lc_trt.errors import UsageError


def size(option: str, text: str) -> tuple[int, int]:
    """Parse ``300x500`` as (height, width) in pixels.

    Args:
        option: name for the error.
        text: the value.

    Raises:
        UsageError: no such size.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text.strip())
    if not match:
        raise UsageError(f"{option} {text!r}: expected HxW in pixels, as in 300x500")
    return int(match[1]), int(match[2])


def width_height(option: str, text: str) -> tuple[int, int]:
    """Parse ``640x480``, width first as in FFmpeg, as (height, width) in pixels.

    Args:
        option: name for the error.
        text: the value.

    Raises:
        UsageError: no such size.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text.strip())
    if not match:
        raise UsageError(f"{option} {text!r}: expected WxH in pixels, as in 640x480")
    return int(match[2]), int(match[1])


def capabilities(option: str, text: str) -> tuple[str, ...]:
    """Parse ``8.6,8.9`` as compute capabilities; sm_89 and SM89 mean 8.9.

    Args:
        option: name for the error.
        text: the value.

    Raises:
        UsageError: another form.
    """
    capabilities = []
    for part in text.split(","):
        match = re.fullmatch(r"(?:(?i:sm)_?(\d{1,2})|(\d{1,2})\.)(\d)", part.strip())
        if match is None:
            raise UsageError(f"{option} {text!r}: expected numbers, as in 8.6,8.9")
        capabilities.append(f"{match[1] or match[2]}.{match[3]}")
    return tuple(dict.fromkeys(capabilities))


def one_of(what: str, **flags: bool) -> str | None:
    """The name of the flag that is set; None where none is.

    Args:
        what: they choose, for the error.
        **flags: values by name.

    Raises:
        UsageError: more than one is set.
    """
    names = [name for name, is_set in flags.items() if is_set]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in names)}: expected one {what}")
    return names[0] if names else None


def thresholds(option: str, text: str) -> tuple[float, float]:
    """Parse ``0.985`` or ``0.985,0.97`` as one threshold per boundary.

    Args:
        option: name for the error.
        text: the value.

    Raises:
        UsageError: not one or two numbers from 0 to 1.
    """
    from lc_trt.bundle.thresholds import as_pair

    values = numbers(option, text)
    try:
        return as_pair(values)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def three(option: str, text: str) -> tuple[float, float, float]:
    """Parse ``1,2,3`` as three numbers.

    Args:
        option: name for the error.
        text: the value.

    Raises:
        UsageError: another count, or no finite numbers.
    """
    values = numbers(option, text)
    if len(values) != 3:
        raise UsageError(f"{option} {text!r}: expected three numbers, as in 123.7,116.3,103.5")
    return values[0], values[1], values[2]


def numbers(option: str, text: str) -> list[float]:
    """Parse finite numbers separated by commas.

    Args:
        option: name for the error.
        text: the value.

    Raises:
        UsageError: no such numbers.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)):
        raise UsageError(f"{option} {text!r}: expected numbers separated by commas")
    return values
