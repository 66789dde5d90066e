"""A folder of results on disk: written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lc_trt.errors import LcTrtError


def check_out(out: Path, mark: str) -> None:
    """Refuse a path that `write_folder` would refuse, before the work is done.

    Raises:
        LcTrtError: something else is there, or nothing can be written there.
    """
    _begin(Path(os.path.abspath(out)), mark).rmdir()


def write_folder(out: Path, files: Mapping[str, bytes], mark: str) -> None:
    """Write the files into a temporary neighbour, then rename it to ``out``.

    Args:
        out: an empty folder, or one with a file called ``mark``, is replaced.
        files: contents by name.
        mark: the file by which such a folder is known.

    Raises:
        LcTrtError: something else is there, or it cannot be written.
    """
    out = Path(os.path.abspath(out))
    partial = _begin(out, mark)
    old = partial.with_name(partial.name + ".old")
    try:
        for name, content in files.items():
            (partial / name).write_bytes(content)
        if out.exists():
            out.rename(old)
        try:
            partial.rename(out)
        except BaseException:
            if old.exists():
                old.rename(out)
            raise
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)


def _begin(out: Path, mark: str) -> Path:
    """An empty temporary folder beside ``out``."""
    if os.path.lexists(out):
        if not out.is_dir():
            raise LcTrtError(f"{out}: a file is in the way; choose another folder")
        if not (out / mark).is_file() and any(out.iterdir()):
            raise LcTrtError(
                f"{out}: holds other files and no {mark}; choose an empty or a new folder"
            )
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(out, error) from error
    return partial


def _unwritable(out: Path, error: OSError) -> LcTrtError:
    return LcTrtError(f"{out}: cannot be written ({error.strerror}); choose another folder")
