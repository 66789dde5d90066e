"""Output folder of a report, which replaces an earlier report but nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lc_trt.errors import LcTrtError
from lc_trt.utils.files import atomic_folder, check_folder

_ADVICE = "choose another folder"


def check_out(out: Path, mark: str) -> None:
    """Check early that `write_folder` can write a folder.

    Args:
        out: the folder.
        mark: as of `write_folder`.

    Raises:
        LcTrtError: ``out`` holds other files, or cannot be written.
    """
    _check_free(out, mark)
    check_folder(out, _ADVICE)


def write_folder(out: Path, files: Mapping[str, bytes], mark: str) -> None:
    """Write a folder of files atomically.

    Args:
        out: the folder; replaced if it is empty or contains a file named ``mark``.
        files: contents by name.
        mark: name of the file that identifies such a folder.

    Raises:
        LcTrtError: ``out`` holds other files, or cannot be written.
    """
    _check_free(out, mark)
    with atomic_folder(out, _ADVICE) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)


def _check_free(out: Path, mark: str) -> None:
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise LcTrtError(f"{out}: a file is in the way; {_ADVICE}")
    if not (out / mark).is_file() and any(out.iterdir()):
        raise LcTrtError(f"{out}: holds other files and no {mark}; choose an empty or a new folder")
