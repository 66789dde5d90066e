"""Fixtures: a fake driver and a fake TensorRT in the registry. A conftest imports them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_backends import FakeToolchain
from fake_cuda import FakeCuda
from fake_tensorrt import FakeTensorRT, fake_manifest, fake_plan

from lc_trt.backends.registry import registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.runtime.cuda import driver as layer
from lc_trt.runtime.engines.tensorrt.engine import TensorRTEngine, open_plan

Load = Callable[..., TensorRTEngine]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """Two GPUs; a test must leave no errors and no resources on them."""
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
    """The TensorRT backend with that TensorRT, without a GPU to build on unless a test sets one."""
    tools = FakeToolchain(trt.facade)
    with registered(TensorRTBackend(tools)):
        yield tools


@pytest.fixture
def load(trt: FakeTensorRT) -> Iterator[Load]:
    """Loads a fake plan; closes it afterwards."""
    engines = []

    def load(kind: str = "cascade", *shapes: Any, device: str | None = None, **facts: Any) -> Any:
        manifest = fake_manifest(kind)
        assert manifest.tensorrt is not None
        engine = open_plan(
            fake_plan(kind, *shapes, **facts),
            trt.facade(),
            build=manifest.tensorrt,
            built_on=None,
            plugin=None,
            library=None,
            device=device,
        )
        engines.append(engine)
        return engine

    yield load
    for engine in engines:
        engine.close()
    engines.clear()
