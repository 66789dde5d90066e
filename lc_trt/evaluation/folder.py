"""The folder of a report: an earlier report there is replaced, nothing else is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lc_trt.errors import LcTrtError
from lc_trt.utils.files import atomic_folder, check_folder

_ADVICE = "choose another folder"


def check_out(out: Path, mark: str) -> None:
    """Refuse a path that `write_folder` would refuse, before the work is done.

    Raises:
        LcTrtError: something else is there, or nothing can be written there.
    """
    _check_free(out, mark)
    check_folder(out, _ADVICE)


def write_folder(out: Path, files: Mapping[str, bytes], mark: str) -> None:
    """Write files into a folder, all of them or none.

    Args:
        out: an empty folder, or one with a file called ``mark``, is replaced.
        files: contents by name.
        mark: the file by which such a folder is known.

    Raises:
        LcTrtError: something else is there, or it cannot be written.
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
