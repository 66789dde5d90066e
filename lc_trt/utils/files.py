"""Atomic writes: a file or folder appears under its name only when complete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lc_trt.errors import LcTrtError


class PartialFile:
    """A file that is written under a temporary name beside its target and renamed when complete.

    For files written piece by piece; otherwise use `atomic_file` or `atomic_write`.

    Attributes:
        path: the temporary file, with the target's suffix, by which encoders choose a format.
    """

    def __init__(
        self,
        target: Path,
        advice: str,
        *,
        option: str = "",
        parents: bool = False,
        exclusive: bool = False,
    ) -> None:
        """Create the temporary file, and so check that ``target`` can be written.

        Args:
            target: final name of the file; an existing file is replaced.
            advice: for the error message: what to do if ``target`` cannot be written.
            option: for the error message: the command-line option that names ``target``.
            parents: create missing parent folders.
            exclusive: no other process writes ``target`` concurrently. The temporary name is then
                fixed, so that the next write overwrites the leftover of an interrupted one.

        Raises:
            LcTrtError: ``target`` is a folder, or nothing can be written beside it.
        """
        writer = "" if exclusive else f".{os.getpid()}"
        self.path = target.with_name(f".{target.stem}{writer}.partial{target.suffix}")
        self._target, self._advice, self._option = target, advice, option
        if target.is_dir():
            raise self.unwritable(IsADirectoryError(21, "a folder is in the way"))
        try:
            if parents:
                target.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
        except OSError as error:
            raise self.unwritable(error) from error

    def commit(self, *, sync: bool = True) -> None:
        """Rename the file to its target.

        Args:
            sync: flush it to disk first, so that it survives a power failure; False for many files
                at a high rate.

        Raises:
            LcTrtError: it cannot be renamed; the caller must still call `discard`.
        """
        try:
            if sync:
                _sync(self.path)
            self.path.replace(self._target)
        except OSError as error:
            raise self.unwritable(error) from error

    def discard(self) -> None:
        """Remove the temporary file; does nothing after `commit`."""
        # If this fails, the error that led here has the reason.
        with suppress(OSError):
            self.path.unlink()

    def unwritable(self, error: OSError) -> LcTrtError:
        """Create the error for a failed write to `path`; it names the target.

        Args:
            error: of the failed write.
        """
        return _unwritable(self._target, error, self._advice, self._option)


@contextmanager
def atomic_file(
    target: Path,
    advice: str,
    *,
    option: str = "",
    parents: bool = False,
    exclusive: bool = False,
    sync: bool = True,
) -> Iterator[Path]:
    """Yield the path of a temporary file, which is renamed to ``target`` if the block succeeds.

    Args:
        target: as of `PartialFile`, like the next four.
        advice: what to do if ``target`` cannot be written.
        option: the command-line option that names ``target``.
        parents: create missing parent folders.
        exclusive: no other process writes ``target`` concurrently.
        sync: as of `PartialFile.commit`.

    Raises:
        LcTrtError: ``target`` cannot be written, or the block raised OSError.
    """
    partial = PartialFile(target, advice, option=option, parents=parents, exclusive=exclusive)
    try:
        yield partial.path
        partial.commit(sync=sync)
    except OSError as error:
        raise partial.unwritable(error) from error
    finally:
        partial.discard()


def atomic_write(
    target: Path,
    content: bytes,
    advice: str,
    *,
    option: str = "",
    parents: bool = False,
    sync: bool = True,
) -> None:
    """Write a file atomically; an existing file stays until the new one is complete.

    Args:
        target: the file, as of `PartialFile`.
        content: of the file.
        advice: what to do if ``target`` cannot be written.
        option: the command-line option that names ``target``.
        parents: create missing parent folders.
        sync: as of `PartialFile.commit`.

    Raises:
        LcTrtError: ``target`` cannot be written.
    """
    with atomic_file(target, advice, option=option, parents=parents, sync=sync) as partial:
        partial.write_bytes(content)


def write_json(target: Path, value: Any, *, option: str = "", parents: bool = False) -> None:
    """Write a value as indented JSON with a final newline.

    Args:
        target: the file, as of `PartialFile`.
        value: as of `json.dumps`.
        option: the command-line option that names ``target``.
        parents: create missing parent folders.

    Raises:
        LcTrtError: ``target`` cannot be written.
    """
    content = json.dumps(value, indent=2) + "\n"
    atomic_write(target, content.encode(), "choose another file", option=option, parents=parents)


@contextmanager
def atomic_folder(target: Path, advice: str) -> Iterator[Path]:
    """Yield the path of a temporary folder, which is renamed to ``target`` if the block succeeds.

    An interrupted process leaves ``target`` unchanged.

    Args:
        target: the folder to write. Existing content is replaced; the caller checks whether that is
            allowed.
        advice: for the error message: what to do if ``target`` cannot be written.

    Raises:
        LcTrtError: ``target`` cannot be written, or the block raised OSError.
    """
    target = Path(os.path.abspath(target))
    partial = _partial_folder(target, advice)
    try:
        yield partial
        for path in partial.iterdir():
            _sync(path)
        _sync(partial)
        _swap(partial, target)
        _sync(target.parent)
    except OSError as error:
        raise _unwritable(target, error, advice) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_folder(target: Path, advice: str) -> None:
    """Check early that `atomic_folder` can write beside ``target``.

    Args:
        target: the folder to write.
        advice: for the error message: what to do if ``target`` cannot be written.

    Raises:
        LcTrtError: nothing can be written there.
    """
    _partial_folder(Path(os.path.abspath(target)), advice).rmdir()


def check_file(target: Path, advice: str, *, option: str = "", parents: bool = False) -> None:
    """Check early that `atomic_write` can write a file.

    Args:
        target: the file, as of `PartialFile`.
        advice: what to do if ``target`` cannot be written.
        option: the command-line option that names ``target``.
        parents: create missing parent folders.

    Raises:
        LcTrtError: ``target`` is a folder, or nothing can be written beside it.
    """
    PartialFile(target, advice, option=option, parents=parents).discard()


def _partial_folder(target: Path, advice: str) -> Path:
    """Create a temporary folder beside ``target``, an absolute path, since "." has no name."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(target, error, advice) from error
    return partial


def _unwritable(target: Path, error: OSError, advice: str, option: str = "") -> LcTrtError:
    place = f"{option} {target}" if option else str(target)
    return LcTrtError(f"{place}: cannot be written ({error.strerror}); {advice}")


def _sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(partial: Path, target: Path) -> None:
    """Rename ``partial`` to ``target``, removing the old folder afterwards."""
    if not target.exists():
        partial.rename(target)
        return
    old = partial.with_name(partial.name + ".old")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
