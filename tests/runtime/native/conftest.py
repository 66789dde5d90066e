"""The native CPU library."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from native_library import checked_library

from lc_trt.runtime.native.library import NativeLibrary, Pool


@pytest.fixture(scope="session")
def library() -> NativeLibrary:
    """The library."""
    return NativeLibrary(checked_library())


@pytest.fixture(scope="session")
def pool(library: NativeLibrary) -> Iterator[Pool]:
    """Two threads."""
    with Pool(library, 2) as threads:
        yield threads
