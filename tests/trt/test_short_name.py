"""The empty library that gives TensorRT for RTX its short name; tests/plugins has the real one."""

from __future__ import annotations

import ctypes
import os

from lc_trt.trt.short_name import empty_library


def test_an_empty_library_loads_under_its_name_and_has_the_symbols_of_the_other() -> None:
    content = empty_library("liblc_trt_any_name.so", needs="libc.so.6")
    descriptor = os.memfd_create("any")
    os.write(descriptor, content)
    ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    # Found by its SONAME, without a file, and with the symbols of its dependency.
    assert ctypes.CDLL("liblc_trt_any_name.so").getpid() == os.getpid()
