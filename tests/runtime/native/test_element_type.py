from __future__ import annotations

from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary


def test_a_row_is_as_long_as_the_library_says(library: NativeLibrary) -> None:
    for element_type in ElementType:
        size = element_type.dtype.itemsize
        padded = 17 * size if element_type is ElementType.F32 else 64
        assert library.call("row_bytes", element_type, 17) == padded
        assert element_type.is_integer == (size == 1)
