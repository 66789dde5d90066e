"""Fixtures: a fake driver and a fake TensorRT under the GPU's engine. A conftest imports them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from fake_cuda import FakeCuda
from fake_tensorrt import FakeTensorRT

from lc_trt.runtime.cuda import driver as layer
from lc_trt.runtime.engines.tensorrt import engine as backend


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
def trt(driver: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    """TensorRT 11.4."""
    fake = FakeTensorRT(driver)
    monkeypatch.setattr(backend, "load", fake.facade)
    return fake
