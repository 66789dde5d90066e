"""The plugin library on disk: where it is, its version, hash and architectures.

It is read as a file and never loaded here, so a foreign library is refused before any of its code
runs. ``plugins/common/entry.cpp`` has the marker that identifies ours.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lc_trt.bundle.sections import PluginRecord
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN, PLUGIN_VERSION

FILE = "liblc_trt_plugins.so"
HOME = Path(__file__).parents[1] / "plugins"  # where setup.py and `lc-trt plugin build` put it
BUILD_COMMAND = "lc-trt plugin build"

_MARKER = re.compile(rb"lc_trt plugins, version (\d{1,6})\0")
_FAT_BINARY = struct.pack("<I", 0xBA55ED50)
_KINDS = {1: "compute", 2: "sm"}


@dataclass(frozen=True)
class PluginLibrary:
    """A plugin library of ours.

    Attributes:
        path: the file.
        version: of its plugins.
        sha256: of the file.
        architectures: GPUs it has code for, ascending: ``sm_89`` is machine code for 8.9,
            ``compute_120`` is PTX, which the driver compiles for 12.0 and later.
    """

    path: Path
    version: str
    sha256: str
    architectures: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the folder."""
        return {**asdict(self), "path": self.path.name}

    def manifest_entry(self) -> PluginRecord:
        """The manifest's ``plugin`` of an engine that needs this library."""
        return PluginRecord(name=DOMAIN, version=self.version, sha256=self.sha256, file=FILE)


def find_library() -> Path | None:
    """The installed library; None where it was not compiled."""
    path = HOME / FILE
    return path if path.is_file() else None


def open_library(path: Path | None = None) -> PluginLibrary:
    """Read a library and check that this lc-trt can use it.

    Args:
        path: of the library; default the installed one.

    Raises:
        LcTrtError: it is missing, not one of ours, or its plugins have another version.
    """
    library = read_library(path)
    if library.version != PLUGIN_VERSION:
        raise LcTrtError(
            f"{library.path}: has plugins of version {library.version}, this lc-trt needs "
            f"version {PLUGIN_VERSION}; compile them again: {BUILD_COMMAND}"
        )
    return library


def read_library(path: Path | None = None) -> PluginLibrary:
    """Read a library of any version; see `open_library`.

    Args:
        path: of the library; default the installed one.
    """
    library = path or find_library()
    if library is None:
        raise LcTrtError(
            f"the plugin library was not compiled ({HOME / FILE}); compile it: {BUILD_COMMAND}"
        )
    try:
        content = library.read_bytes()
    except OSError as error:
        raise LcTrtError(
            f"{library}: cannot be read ({error.strerror}), expected a plugin library; "
            f"compile it: {BUILD_COMMAND}"
        ) from error
    marker = _MARKER.search(content)
    if not content.startswith(b"\x7fELF") or marker is None:
        raise LcTrtError(f"{library}: is no plugin library of lc-trt; compile one: {BUILD_COMMAND}")
    return PluginLibrary(
        library,
        marker[1].decode(),
        hashlib.sha256(content).hexdigest(),
        _architectures(content),
    )


def _architectures(content: bytes) -> tuple[str, ...]:
    """The GPUs that the fat binaries in a library hold code for.

    A fat binary is a header (magic, version, its size, bytes that follow) and entries (kind, 0,
    size of the entry's header, bytes that follow; the architecture is at 28).
    """
    architectures: set[tuple[int, str]] = set()
    at = content.find(_FAT_BINARY)
    while 0 <= at <= len(content) - 16:
        _, _, header, size = struct.unpack_from("<IHHQ", content, at)
        entry, end = at + header, min(at + header + size, len(content) - 32)
        while entry < end:
            kind, _, header, size = struct.unpack_from("<HHIQ", content, entry)
            (architecture,) = struct.unpack_from("<I", content, entry + 28)
            if kind in _KINDS:
                architectures.add((architecture, f"{_KINDS[kind]}_{architecture}"))
            entry += max(header + size, 1)
        at = content.find(_FAT_BINARY, at + 1)
    return tuple(name for _, name in sorted(architectures))
