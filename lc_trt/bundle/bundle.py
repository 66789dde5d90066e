"""What a built engine is on disk: a folder NAME.lct/ with a manifest beside plain files.

``manifest.json`` says what the files are and what they hash to; ``model.onnx`` (for TensorRT
``engine.plan``) is the network compiled for its backend, ``source.onnx`` the exchange model it
came from. Beside a plan lies the plugin library it was built with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lc_trt.bundle.manifest import FORMAT, Manifest
from lc_trt.bundle.typed_json import JsonError
from lc_trt.errors import LcTrtError
from lc_trt.utils.files import atomic_folder, check_folder
from lc_trt.utils.machine import module_version

__all__ = [
    "CALIBRATION",
    "FORMAT",
    "MANIFEST",
    "MODEL",
    "PLAN",
    "PLUGINS",
    "SOURCE",
    "TUNING",
    "Bundle",
    "Manifest",
    "check_out",
    "read_bundle",
    "write_bundle",
]

MANIFEST = "manifest.json"
MODEL = "model.onnx"  # what runs
PLAN = "engine.plan"  # what runs under TensorRT
PLUGINS = "liblc_trt_plugins.so"
SOURCE = "source.onnx"  # what it was built from
CALIBRATION = "calibration.json"  # the table of an INT8 engine
TUNING = "tuning.json"  # the thresholds that a governor moves over
_ADVICE = "choose another -o"


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been checked.

    Attributes:
        path: its folder.
        manifest: what it says about itself.
        notes: differences that do no harm, in words (a newer backend, for one).
    """

    path: Path
    manifest: Manifest
    notes: tuple[str, ...] = ()

    def file(self, name: str) -> Path:
        """Path of one of the bundle's files, ``model.onnx`` or ``source.onnx`` for two."""
        if name not in self.manifest.files:
            raise LcTrtError(
                f"{self.path}: holds no {name}, only {', '.join(sorted(self.manifest.files))}; "
                f"{_rebuild(self.path)}"
            )
        return self.path / name


def check_out(out: Path, *, overwrite: bool = True) -> None:
    """Refuse a path that `write_bundle` would refuse, before the work is done.

    Raises:
        LcTrtError: something other than a bundle is there, or nothing can be written there.
    """
    _check_free(out, overwrite)
    check_folder(out, _ADVICE)


def write_bundle(
    out: Path,
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    *,
    overwrite: bool = True,
) -> Bundle:
    """Write a bundle at ``out``, whole or not at all.

    Everything goes into a temporary neighbour that is renamed when it is complete, so a
    build that is killed leaves nothing that loads. Paths among ``files`` are copied, also
    out of the bundle that is being replaced.

    Args:
        out: the folder to write; an existing bundle there is replaced.
        manifest: all but the file hashes, which are filled in here.
        files: content or a file to copy, by name inside the bundle.
        overwrite: False refuses an existing bundle too.

    Raises:
        LcTrtError: ``out`` is something other than a bundle, or cannot be written.
    """
    out = Path(os.path.abspath(out))
    _check_free(out, overwrite)
    with atomic_folder(out, _ADVICE) as partial:
        hashes = {name: _put(partial / name, content) for name, content in files.items()}
        complete = replace(manifest, files=hashes)
        # Last: a folder without a manifest is no bundle, however much else is in it.
        _put(partial / MANIFEST, complete.dumps().encode())
    return Bundle(out, complete)


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle and check its format, that its files are there, and their hashes.

    Raises:
        LcTrtError: it is no bundle, or not whole; the message names what differs and the
            command that mends it.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise LcTrtError(f"{path}: {name} is missing; {_rebuild(path)}")
        found = _hash(file)
        if found != expected:
            raise LcTrtError(
                f"{path}: {name} was truncated or edited since the build "
                f"(SHA-256 {found[:12]}, expected {expected[:12]}); {_rebuild(path)}"
            )
    return Bundle(path, manifest, _notes(manifest))


def _read_manifest(path: Path) -> Manifest:
    if path.is_file():
        raise LcTrtError(
            f"{path}: a file, expected a bundle (a folder NAME.lct); "
            f"build one: lc-trt build {path} -o {path.with_suffix('.lct')}"
        )
    if not path.is_dir():
        raise LcTrtError(f"{path}: no such bundle; build one: lc-trt build MODEL.onnx -o {path}")
    try:
        return Manifest.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LcTrtError(
            f"{path}: not a bundle (no {MANIFEST} in it); "
            f"build one: lc-trt build MODEL.onnx -o {path.with_suffix('.lct')}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LcTrtError(
            f"{path}: {MANIFEST} cannot be read ({error}); {_rebuild(path)}"
        ) from error
    except JsonError as error:
        raise LcTrtError(f"{path}: {MANIFEST} {error}; {_rebuild(path)}") from error


def _rebuild(path: Path) -> str:
    return f"build it again: lc-trt build MODEL.onnx -o {path}"


def _notes(manifest: Manifest) -> tuple[str, ...]:
    if manifest.backend == "tensorrt":  # whether a plan runs here is decided where it is loaded
        return ()
    # Other backends compile model.onnx when it is loaded, so another version of them runs it;
    # only what the build measured may no longer be exact.
    here = module_version(manifest.backend)
    if here is None or here == manifest.backend_version:
        return ()
    return (
        f"built and checked with {manifest.backend} {manifest.backend_version}, "
        f"this machine has {here}",
    )


def _check_free(out: Path, overwrite: bool) -> None:
    """Refuse anything but a bundle at ``out``, or that too."""
    if not os.path.lexists(out):
        return
    if not (out / MANIFEST).is_file():
        kind = "folder" if out.is_dir() else "file"
        raise LcTrtError(f"{out}: a {kind} that is no bundle is in the way; choose another -o")
    if not overwrite:
        raise LcTrtError(f"{out}: exists already; remove it or choose another -o")


def _put(path: Path, content: bytes | Path) -> str:
    """Write or copy a file; its SHA-256."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)
    return _hash(path)


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
