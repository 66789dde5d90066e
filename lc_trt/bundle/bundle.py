"""A built engine on disk: a folder NAME.lct/ with a manifest and plain files.

``manifest.json`` describes the files and holds their hashes. ``model.onnx`` (``engine.plan`` for
TensorRT) is the network compiled for its backend, ``source.onnx`` the exchange model it was built
from. A TensorRT bundle also holds the plugin library that the plan was built with.
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
    "rewrite_bundle",
    "write_bundle",
]

MANIFEST = "manifest.json"
MODEL = "model.onnx"  # the compiled network
PLAN = "engine.plan"  # the compiled network for TensorRT
PLUGINS = "liblc_trt_plugins.so"
SOURCE = "source.onnx"  # the exchange model
CALIBRATION = "calibration.json"  # calibration table of an INT8 engine
TUNING = "tuning.json"  # Pareto front of the thresholds
_ADVICE = "choose another -o"


@dataclass(frozen=True)
class Bundle:
    """A validated bundle.

    Attributes:
        path: folder of the bundle.
        manifest: its metadata.
        notes: harmless differences from this machine, one sentence each, such as a newer backend.
    """

    path: Path
    manifest: Manifest
    notes: tuple[str, ...] = ()

    def file(self, name: str) -> Path:
        """Path of a file in the bundle.

        Args:
            name: file name, such as ``model.onnx``.

        Raises:
            LcTrtError: the bundle has no such file.
        """
        if name not in self.manifest.files:
            raise LcTrtError(
                f"{self.path}: has no {name}, only {', '.join(sorted(self.manifest.files))}; "
                f"{_rebuild(self.path)}"
            )
        return self.path / name


def check_out(out: Path, *, overwrite: bool = True) -> None:
    """Check that `write_bundle` can write to a path, before a long build.

    Args:
        out: folder to write.
        overwrite: whether an existing bundle may be replaced.

    Raises:
        LcTrtError: the path is taken, or is not writable.
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
    """Write a bundle atomically.

    The files are written to a temporary folder beside ``out``, which is renamed once complete, so
    a build that is killed leaves no bundle that loads. Files may be copied from the bundle that is
    replaced.

    Args:
        out: folder to write; an existing bundle is replaced.
        manifest: metadata; the file hashes are filled in.
        files: content, or path of a file to copy, by file name in the bundle.
        overwrite: whether an existing bundle may be replaced.

    Returns:
        The written bundle.

    Raises:
        LcTrtError: the path is taken, or is not writable.
    """
    out = Path(os.path.abspath(out))
    _check_free(out, overwrite)
    with atomic_folder(out, _ADVICE) as partial:
        hashes = {name: _put(partial / name, content) for name, content in files.items()}
        complete = replace(manifest, files=hashes)
        # Last, because only a folder with a manifest is a bundle.
        _put(partial / MANIFEST, complete.dumps().encode())
    return Bundle(out, complete)


def rewrite_bundle(
    bundle: Bundle, *, manifest: Manifest | None = None, files: Mapping[str, bytes] | None = None
) -> Bundle:
    """Change a bundle in place, atomically; its other files stay as they are.

    Args:
        bundle: the bundle to rewrite.
        manifest: replaces its metadata; None keeps it.
        files: content by file name, added or replaced.

    Returns:
        The rewritten bundle.

    Raises:
        LcTrtError: the bundle cannot be written.
    """
    kept: dict[str, bytes | Path] = {name: bundle.path / name for name in bundle.manifest.files}
    return write_bundle(bundle.path, manifest or bundle.manifest, {**kept, **(files or {})})


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle; check its format and the presence and hashes of its files.

    Args:
        path: folder of the bundle.

    Raises:
        LcTrtError: not a bundle, or incomplete; names the file, the difference and the command
            that rebuilds it.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise LcTrtError(f"{path}: {name} is missing; {_rebuild(path)}")
        actual = _hash(file)
        if actual != expected:
            raise LcTrtError(
                f"{path}: {name} was truncated or edited since the build "
                f"(SHA-256 {actual[:12]}, expected {expected[:12]}); {_rebuild(path)}"
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
    if manifest.backend == "tensorrt":  # the plan's compatibility is checked on loading
        return ()
    # Other backends compile model.onnx when loading it, so another version runs it as well; only
    # the agreement and speed measured by the build may differ.
    installed = module_version(manifest.backend)
    if installed is None or installed == manifest.backend_version:
        return ()
    return (
        f"built and checked with {manifest.backend} {manifest.backend_version}, "
        f"this machine has {installed}",
    )


def _check_free(out: Path, overwrite: bool) -> None:
    """Check that ``out`` does not exist or, with ``overwrite``, is a bundle."""
    if not os.path.lexists(out):
        return
    if not (out / MANIFEST).is_file():
        kind = "folder" if out.is_dir() else "file"
        raise LcTrtError(f"{out}: is a {kind}, not a bundle; choose another -o")
    if not overwrite:
        raise LcTrtError(f"{out}: already exists; remove it or choose another -o")


def _put(path: Path, content: bytes | Path) -> str:
    """Write or copy a file; return its SHA-256."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)
    return _hash(path)


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
