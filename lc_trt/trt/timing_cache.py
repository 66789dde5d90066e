"""A timing cache in a file that several builds may share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lc_trt.errors import LcTrtError
from lc_trt.utils.files import atomic_write

_OPTION, _ADVICE = "--timing-cache", "choose another file"


def use_cache(config: Any, path: Path) -> None:
    """Load a file's times into a builder configuration; none where there is no file yet.

    Args:
        config: IBuilderConfig.
        path: of the cache.

    Raises:
        LcTrtError: the file cannot be read, or is no timing cache of this TensorRT and GPU.
    """
    with _locked(path):
        cache = config.create_timing_cache(_read(path))
    if not config.set_timing_cache(cache, False):
        raise _foreign(path)


def merge_cache(config: Any, path: Path) -> None:
    """Write a configuration's times, together with those that other builds have written meanwhile.

    Args:
        config: IBuilderConfig, after the build.
        path: of the cache.

    Raises:
        LcTrtError: the file cannot be written, or is of another TensorRT or GPU.
    """
    with _locked(path):
        cache = config.get_timing_cache()
        if not cache.combine(config.create_timing_cache(_read(path)), False):
            raise _foreign(path)
        atomic_write(path, bytes(cache.serialize()), _ADVICE, option=_OPTION)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unusable(path, error) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # A neighbour, since the file itself is replaced by renaming; it stays, for the next one.
    lock = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> LcTrtError:
    return LcTrtError(f"{_OPTION} {path}: {error.strerror}; {_ADVICE}")


def _foreign(path: Path) -> LcTrtError:
    return LcTrtError(
        f"{_OPTION} {path}: was written by another TensorRT or for another GPU; {_ADVICE}"
    )
