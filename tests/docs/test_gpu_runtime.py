"""The examples in docs/gpu-runtime.md, that with pycuda on one that is as fake as the GPU."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
from fake_gpu import driver, load, trt
from fake_tensorrt import fake_manifest
from toy_models import SIZE

import lc_trt
from lc_trt.runtime.segmenter import Segmenter

__all__ = ["driver", "load", "trt"]
PAGE = Path(__file__).parents[2] / "docs" / "gpu-runtime.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def pycuda(driver, monkeypatch):
    """The few names that the example takes, on the fake driver."""
    real, module = driver, ModuleType("pycuda.driver")
    arrays = ModuleType("pycuda.gpuarray")

    class Stream:
        def __init__(self):
            self.handle = int(real.cuStreamCreate(0)[1])

        def synchronize(self):
            found = real.streams[self.handle]
            real.run(found, len(found.queue))

        def __del__(self):
            real.streams.pop(self.handle)

    class Array:
        def __init__(self, host, stream):
            self.host, self.ptr = host, int(real.cuMemAlloc(host.nbytes)[1])
            copy = (self.ptr, host.ctypes.data, host.nbytes)
            real.enqueue(stream.handle, lambda: ctypes.memmove(*copy))

        @property
        def __cuda_array_interface__(self):
            return {
                "shape": self.host.shape, "strides": self.host.strides, "data": (self.ptr, False),
                "typestr": self.host.dtype.str, "stream": None, "version": 3,
            }  # fmt: skip

        def __del__(self):
            real.memory.pop(self.ptr)

    def retain_primary_context():
        return SimpleNamespace(push=lambda: real.stack.append(1000), pop=lambda: real.stack.pop())

    def memcpy_dtoh_async(host, address, stream):
        copy = (host.ctypes.data, address, host.nbytes)
        real.enqueue(stream.handle, lambda: ctypes.memmove(*copy))

    module.init = lambda: None
    module.Device = lambda number: SimpleNamespace(retain_primary_context=retain_primary_context)
    module.Stream, module.pagelocked_empty = Stream, np.empty
    module.memcpy_dtoh_async = memcpy_dtoh_async
    arrays.to_gpu_async = lambda host, stream: Array(host, stream)
    package = ModuleType("pycuda")
    package.driver, package.gpuarray = module, arrays
    names = {"pycuda": package, "pycuda.driver": module, "pycuda.gpuarray": arrays}
    for name, value in names.items():
        monkeypatch.setitem(sys.modules, name, value)


def test_the_example_with_pycuda_runs_in_its_context_and_stream(
    load, driver, pycuda, monkeypatch, tmp_path
):
    (example,) = [block for block in blocks() if "import pycuda" in block]
    picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "street.png"), picture)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        lc_trt, "load", lambda path: Segmenter(load(), fake_manifest()), raising=False
    )
    found: dict[str, object] = {}
    exec(example, found)
    assert np.array_equal(found["labels"][0], picture[..., 2] // 64)
    assert driver.primary == {} and driver.stack == []
    assert driver.calls.count("cuMemcpyHtoDAsync") == 1  # rho alone went through the host
    found.clear()


def test_the_other_examples_are_python_with_names_that_exist():
    for block in blocks():
        compile(block, PAGE.name, "exec")
        for name in re.findall(r"segmenter\.(\w+)", block):
            assert hasattr(Segmenter, name) or name in ("manifest", "engine")
