"""Folders and files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lc_trt.errors import LcTrtError


@contextmanager
def whole_folder(out: Path, advice: str) -> Iterator[Path]:
    """A temporary neighbour that is renamed to ``out`` when the block ends without an error.

    A process that is killed leaves what was at ``out``, or nothing. What else may be there is the
    caller's to decide before: it is replaced.

    Args:
        advice: what to do instead where ``out`` cannot be written, for the error.

    Raises:
        LcTrtError: ``out`` cannot be written.
    """
    out = Path(os.path.abspath(out))
    partial = _neighbour(out, advice)
    try:
        yield partial
        for path in partial.iterdir():
            _sync(path)
        _sync(partial)
        _swap(partial, out)
        _sync(out.parent)
    except OSError as error:
        raise _unwritable(out, error, advice) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_whole(path: Path, content: bytes, advice: str, *, option: str = "") -> None:
    """Write a file by way of a temporary neighbour; what was there stays until it is whole.

    Args:
        advice: what to do instead where ``path`` cannot be written, for the error.
        option: that named the path, for the error.

    Raises:
        LcTrtError: ``path`` cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error, advice, option) from error
    finally:
        # Where even this fails, the error above says why.
        with suppress(OSError):
            partial.unlink()


def check_place(out: Path, advice: str) -> None:
    """Raise what `whole_folder` would raise where nothing can be written beside ``out``."""
    _neighbour(Path(os.path.abspath(out)), advice).rmdir()


def _neighbour(out: Path, advice: str) -> Path:
    """An empty temporary folder beside ``out``, an absolute path: "." has no name to change."""
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(out, error, advice) from error
    return partial


def _unwritable(out: Path, error: OSError, advice: str, option: str = "") -> LcTrtError:
    place = f"{option} {out}" if option else str(out)
    return LcTrtError(f"{place}: cannot be written ({error.strerror}); {advice}")


def _sync(path: Path) -> None:
    """See a file or a folder through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(partial: Path, out: Path) -> None:
    """Rename ``partial`` to ``out``; what was there goes only once the new one is in place."""
    if not out.exists():
        partial.rename(out)
        return
    old = partial.with_name(partial.name + ".old")
    out.rename(old)
    try:
        partial.rename(out)
    except BaseException:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
