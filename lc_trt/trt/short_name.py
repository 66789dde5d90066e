"""TensorRT for RTX under the library name that its parser opens."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from lc_trt.errors import LcTrtError


def provide_short_name() -> None:
    """Make dlopen("libtensorrt_rtx.so") find the library that is loaded as "libtensorrt_rtx.so.1".

    RTX's parser opens that name at the first plugin; its wheel has no such file, and the process
    crashes. The loader reuses a loaded library whose SONAME equals the requested name, so this
    loads an empty one of that SONAME, which depends on the real one.

    Raises:
        LcTrtError: the empty library cannot be loaded.
    """
    try:
        ctypes.CDLL("libtensorrt_rtx.so")  # an installation with that name
        return
    except OSError:
        pass
    # In memory, since a temporary folder may be mounted noexec. The descriptor stays open: the
    # loader identifies the library by its number, which another file must not get.
    descriptor = os.memfd_create("libtensorrt_rtx.so")
    os.write(descriptor, empty_library("libtensorrt_rtx.so", needs="libtensorrt_rtx.so.1"))
    try:
        ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    except OSError as error:
        os.close(descriptor)
        raise LcTrtError(
            f"tensorrt_rtx: its library cannot be given its short name ({error}); put a link "
            "libtensorrt_rtx.so to libtensorrt_rtx.so.1 on LD_LIBRARY_PATH"
        ) from error


def empty_library(soname: str, needs: str) -> bytes:
    """Build an ELF shared library without code (System V ABI, chapters 4 and 5).

    It has two segments: the whole file, and its dynamic table.

    Args:
        soname: its name.
        needs: name of the one library that it depends on.

    Returns:
        Content of the file.
    """
    file_header, program_header, entry, symbol = 64, 56, 16, 24
    names = b"\0" + soname.encode() + b"\0" + needs.encode() + b"\0"
    dynamic_at = file_header + 2 * program_header
    symbols_at = dynamic_at + 6 * entry
    names_at = symbols_at + symbol
    size = names_at + len(names)
    table = {
        1: 2 + len(soname),  # DT_NEEDED: offset in the names
        14: 1,  # DT_SONAME
        5: names_at,  # DT_STRTAB
        10: len(names),  # DT_STRSZ
        6: symbols_at,  # DT_SYMTAB: the empty symbol only
        0: 0,
    }
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in table.items())
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQI", 3, machine, 1, 0, file_header, 0, 0)
    head += struct.pack("<HHHHHH", file_header, program_header, 2, 0, 0, 0)
    everything = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 0x10000)
    only_dynamic = struct.pack(
        "<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), 8
    )
    return head + everything + only_dynamic + dynamic + bytes(symbol) + names
