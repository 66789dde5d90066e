"""Fixtures: a fake driver and a fake TensorRT in the registry. A conftest imports them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from fake_backends import FakeToolchain
from fake_cuda import FakeCuda
from fake_tensorrt import FakeTensorRT

from lc_trt.backends.registry import registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.runtime.cuda import driver as layer


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """Two GPUs; afterwards nothing may have gone wrong on them, nor be left."""
    fake = FakeCuda((("Fake 1", (8, 9)), ("Fake 2", (8, 6))))
    monkeypatch.setattr(layer, "cuda", fake)
    yield fake
    if not fake.idle:  # an error that a test expected holds on to what raised it
        gc.collect()
    fake.finish()
    assert fake.faults == []
    assert fake.stack == []
    assert fake.idle


@pytest.fixture
def trt(driver: FakeCuda) -> FakeTensorRT:
    """TensorRT 11.4."""
    return FakeTensorRT(driver)


@pytest.fixture
def toolchain(trt: FakeTensorRT) -> Iterator[FakeToolchain]:
    """The TensorRT backend with that TensorRT, and no GPU to build on until a test names one."""
    tools = FakeToolchain(trt.facade)
    with registered(TensorRTBackend(tools)):
        yield tools
