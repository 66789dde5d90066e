"""A fake driver and a fake TensorRT under the GPU's engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_gpu import driver, toolchain, trt
from fake_tensorrt import FakeTensorRT, fake_manifest, fake_plan

from lc_trt.runtime.engines.tensorrt.engine import TensorRTEngine, open_plan

__all__ = ["driver", "load", "toolchain", "trt"]
Load = Callable[..., TensorRTEngine]


@pytest.fixture
def load(trt: FakeTensorRT) -> Iterator[Load]:
    """Loads a fake plan; closes it afterwards."""
    made = []

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
        made.append(engine)
        return engine

    yield load
    for engine in made:
        engine.close()
    made.clear()
