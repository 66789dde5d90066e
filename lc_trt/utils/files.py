"""Atomic writes: a file or a folder appears under its name when it is complete, or not at all."""

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
    """A file that is written under a temporary name beside its own and renamed when complete.

    For what is written piece by piece; `atomic_file` and `atomic_write` serve the rest.

    Attributes:
        path: where to write. Its suffix is the target's, by which encoders choose a format.
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
        """Create the temporary file, which shows whether ``target`` can be written.

        Args:
            target: the name that the complete file gets; a file there is replaced.
            advice: for the error: what to do instead where ``target`` cannot be written.
            option: for the error: the command-line option that named ``target``.
            parents: make the folders above ``target`` where there are none.
            exclusive: True where no other process writes ``target`` at the same time. The temporary
                name is then fixed, so that the next write removes what a killed one left.

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
        """Give the file its name.

        Args:
            sync: see it through to the disk first, so that it survives a loss of power; False for
                many files at a high rate.

        Raises:
            LcTrtError: it cannot be renamed; `discard` is still the caller's to call.
        """
        try:
            if sync:
                _sync(self.path)
            self.path.replace(self._target)
        except OSError as error:
            raise self.unwritable(error) from error

    def discard(self) -> None:
        """Remove what was written; nothing after `commit`."""
        # Where even this fails, the error that led here says why.
        with suppress(OSError):
            self.path.unlink()

    def unwritable(self, error: OSError) -> LcTrtError:
        """The error for a write to `path` that failed; it names the target."""
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
    """The path of a temporary file, which is renamed to ``target`` if the block succeeds.

    Args:
        target, advice, option, parents, exclusive: as of `PartialFile`.
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
    """Write a whole file; what was there stays until the new one is complete.

    Args:
        target, advice, option, parents: as of `PartialFile`.
        content: of the file.
        sync: as of `PartialFile.commit`.

    Raises:
        LcTrtError: ``target`` cannot be written.
    """
    with atomic_file(target, advice, option=option, parents=parents, sync=sync) as partial:
        partial.write_bytes(content)


def write_json(target: Path, value: Any, *, option: str = "", parents: bool = False) -> None:
    """Write a value as indented JSON with a final newline.

    Args:
        target, option, parents: as of `PartialFile`.
        value: what `json.dumps` takes.

    Raises:
        LcTrtError: ``target`` cannot be written.
    """
    content = json.dumps(value, indent=2) + "\n"
    atomic_write(target, content.encode(), "choose another file", option=option, parents=parents)


@contextmanager
def atomic_folder(target: Path, advice: str) -> Iterator[Path]:
    """The path of a temporary folder, which is renamed to ``target`` if the block succeeds.

    A process that is killed leaves what was at ``target``, or nothing.

    Args:
        target: the folder to write. Whatever is there is replaced: the caller decides before
            whether it may be.
        advice: for the error: what to do instead where ``target`` cannot be written.

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
    """Raise what `atomic_folder` would raise where nothing can be written beside ``target``.

    Args:
        target, advice: as of `atomic_folder`.

    Raises:
        LcTrtError: nothing can be written there.
    """
    _partial_folder(Path(os.path.abspath(target)), advice).rmdir()


def check_file(target: Path, advice: str, *, option: str = "", parents: bool = False) -> None:
    """Raise what `atomic_write` would raise, before minutes are spent on the content.

    Args:
        target, advice, option, parents: as of `PartialFile`.

    Raises:
        LcTrtError: ``target`` is a folder, or nothing can be written beside it.
    """
    PartialFile(target, advice, option=option, parents=parents).discard()


def _partial_folder(target: Path, advice: str) -> Path:
    """An empty temporary folder beside ``target``, an absolute path: "." has no name to change."""
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
    """See a file or a folder through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(partial: Path, target: Path) -> None:
    """Rename ``partial`` to ``target``; the old one goes only once the new one is in place."""
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
