"""The file of a plugin library, as far as it is read and not loaded."""

from __future__ import annotations

import struct


def library_bytes(
    version: int = 1, code: tuple[tuple[int, int], ...] = ((1, 120), (2, 89))
) -> bytes:
    """An ELF file's first bytes, the marker, and a fat binary with (kind, architecture) in it."""
    entries = b"".join(
        struct.pack("<HHIQ", kind, 0, 64, 8) + bytes(12) + struct.pack("<I", sm) + bytes(32 + 8)
        for kind, sm in code
    )
    fat = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries
    return b"\x7fELF" + b"lc_trt plugins, version %d\0" % version + fat + bytes(64)
