"""A fake driver and a fake TensorRT under the GPU's engine."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_cuda import FakeCuda
from fake_tensorrt import FakeTensorRT, fake_manifest, fake_plan

from lc_trt.runtime.engines import cuda as layer
from lc_trt.runtime.engines import tensorrt as backend
from lc_trt.runtime.engines.tensorrt import TensorRTEngine

Load = Callable[..., TensorRTEngine]


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


@pytest.fixture
def load(trt: FakeTensorRT) -> Iterator[Load]:
    """Loads a fake plan; closes it afterwards."""
    made = []

    def load(kind: str = "cascade", *shapes: Any, device: str | None = None, **facts: Any) -> Any:
        plan = fake_plan(kind, *shapes, **facts)
        engine = backend.create(plan, fake_manifest(kind), None, device)
        made.append(engine)
        return engine

    yield load
    for engine in made:
        engine.close()
    made.clear()
