"""A fake driver and a fake TensorRT under the GPU's engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_gpu import driver, trt
from fake_tensorrt import FakeTensorRT, fake_manifest, fake_plan

from lc_trt.runtime.engines.tensorrt import engine as backend
from lc_trt.runtime.engines.tensorrt.engine import TensorRTEngine

__all__ = ["driver", "load", "trt"]
Load = Callable[..., TensorRTEngine]


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
