"""The native CPU library for its tests, on each instruction set."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from native_library import checked_library

from lc_trt.runtime.native.library import ISAS, NativeLibrary, Pool


@pytest.fixture(scope="session")
def opened() -> NativeLibrary:
    """The library with AMX as a software model."""
    return NativeLibrary(checked_library())


@pytest.fixture
def library(opened: NativeLibrary) -> Iterator[NativeLibrary]:
    """The library without a cap, which a test may set."""
    opened.limit_isa(None)
    yield opened
    opened.limit_isa(None)


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, library: NativeLibrary) -> str:
    """Each instruction set in turn, as the library's cap."""
    library.limit_isa(request.param)
    if library.isa != request.param:
        pytest.skip(f"this machine has no {request.param}")
    return str(request.param)


@pytest.fixture(scope="session")
def pool(opened: NativeLibrary) -> Iterator[Pool]:
    """Two threads."""
    with Pool(opened, 2) as threads:
        yield threads
