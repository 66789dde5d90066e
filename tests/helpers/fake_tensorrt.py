"""TensorRT without a GPU: runs the toy network of `toy_models` on the memory of a fake driver.

It refuses what the real one refuses, in the same way (False or None, and an error in its log),
and notes as a fault of the driver what would be undefined there.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from fake_cuda import FakeCuda
from toy_models import CLASSES, SIZE, toy_manifest

from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import TensorRTBuild
from lc_trt.trt.api import TensorRT

MAGIC = b"fake plan"
VERSION = "11.4.0.106"
LEAST = np.float32(1 / len(CLASSES))  # the largest of so many probabilities is no less


def fake_plan(
    kind: str = "cascade",
    least: tuple[int, ...] = (1, *SIZE),
    best: tuple[int, ...] | None = None,
    most: tuple[int, ...] | None = None,
    **changes: Any,
) -> bytes:
    """A plan for images [N, H, W] from ``least`` to ``most``."""
    facts = {"kind": kind, "profile": [least, best or least, most or best or least], **changes}
    return MAGIC + json.dumps(facts).encode()


def fake_manifest(kind: str = "cascade", **changes: Any) -> Manifest:
    """What goes with a fake plan; ``tensorrt`` adds to what is there."""
    built = TensorRTBuild(
        **{"package": "tensorrt", "version": VERSION, **changes.pop("tensorrt", {})}
    )
    return replace(toy_manifest(kind, backend="tensorrt"), tensorrt=built, **changes)


class DataType:
    UINT8, FLOAT = np.uint8, np.float32


class TensorIOMode:
    INPUT, OUTPUT = 0, 1


class FakeTensorRT:
    """The module. ``loaded`` are plugin libraries, ``faults`` are put where the driver's are."""

    DataType, TensorIOMode = DataType, TensorIOMode

    def __init__(self, cuda: FakeCuda, version: str = VERSION) -> None:
        self.cuda, self.__version__ = cuda, version
        self.sinks: list[Callable[[str, str], None]] = []
        self.loaded: list[str] = []

    def facade(self, package: str = "tensorrt") -> TensorRT:
        """As `lc_trt.trt.api.load` gives it."""
        return TensorRT(package, self.__version__, self, object(), self.sinks)

    def log(self, text: str, severity: str = "ERROR") -> None:
        for sink in tuple(self.sinks):
            sink(severity, text)

    def refuse(self, text: str) -> bool:
        self.log(f"[fake.cpp::call::1] {text}")
        return False

    def nptype(self, dtype: Any) -> Any:
        return dtype

    def get_plugin_registry(self) -> FakeTensorRT:
        return self

    def load_library(self, path: str) -> object:
        self.loaded.append(path)
        return object()

    def Runtime(self, logger: object) -> Runtime:
        return Runtime(self)


class Runtime:
    def __init__(self, trt: FakeTensorRT) -> None:
        self.trt, self.engine_host_code_allowed = trt, False

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        if not self.trt.cuda.stack:
            self.trt.cuda.faults.append("deserialised without a context")
        if not plan.startswith(MAGIC):
            self.trt.refuse("Serialization assertion magicTag failed")
            return None
        return Engine(self.trt, json.loads(plan.removeprefix(MAGIC)))


class Engine:
    def __init__(self, trt: FakeTensorRT, facts: dict[str, Any]) -> None:
        self.trt, self.facts, self.alive = trt, facts, 0
        cascade = facts["kind"] == "cascade"
        self.types = {
            "image": facts.get("image", "u1"),
            **({"rho": "f4"} if cascade else {}),
            "labels": "u1",
            **({"stages": "u1"} if cascade else {}),
            "confidence": "f4",
        }
        self.num_io_tensors = len(self.types)

    def get_tensor_name(self, index: int) -> str:
        return list(self.types)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return np.dtype(self.types[name]).type

    def get_tensor_mode(self, name: str) -> int:
        return TensorIOMode.INPUT if name in ("image", "rho") else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name == "rho":
            return (2,)
        least, _, most = self.facts["profile"]
        return (*(a if a == b else -1 for a, b in zip(least, most, strict=True)), 3)

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        assert name == "image" and profile == 0
        return [(*shape, 3) for shape in self.facts["profile"]]

    def create_execution_context(self) -> Context | None:
        if self.facts.get("no_memory"):
            self.trt.refuse("Error Code 2: OutOfMemory (no memory for the context)")
            return None
        return Context(self)

    def __del__(self) -> None:
        if not self.trt.cuda.stack:
            self.trt.cuda.faults.append("an engine freed without a context")
        if self.alive:
            self.trt.cuda.faults.append("an engine freed before its execution contexts")


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine, self.trt, self.cuda = engine, engine.trt, engine.trt.cuda
        engine.alive += 1
        self.shape: tuple[int, ...] | None = None
        self.addresses: dict[str, int] = {}
        self.state = 0  # counts changes; a graph holds for the one it was recorded with
        self.deferred = True  # work that the next enqueue does, and that cannot be recorded
        self.enqueued = self.executed = 0
        self.thread: int | None = None

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if name == "rho":
            return shape == (2,) or self.trt.refuse("rho has another shape")
        least, _, most = self.engine.facts["profile"]
        if not all(a <= b <= c for a, b, c in zip((*least, 3), shape, (*most, 3), strict=True)):
            return self.trt.refuse("Set dimensions are outside of the profile")
        if shape != self.shape:
            self.shape, self.deferred, self.state = shape, True, self.state + 1
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name == "rho":
            return (2,)
        n, h, w, c = self.shape or (-1, -1, -1, 3)
        if self.engine.facts.get("data_dependent") and name != "image":
            return (-1, h, w)
        cells = (n, -(-h // 8), -(-w // 8))
        return {"image": (n, h, w, c), "labels": (n, h, w)}.get(name, cells)

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self.engine.types:
            return self.trt.refuse(f"no tensor {name}")
        if address % 256:
            return self.trt.refuse(f"{name} is not aligned")
        self.addresses[name], self.state = address, self.state + 1
        return True

    def execute_async_v3(self, stream: int) -> bool:
        found = self.cuda.streams[stream or 1]
        if self.thread not in (None, threading.get_ident()):
            self.cuda.faults.append("an execution context used by two threads")
        self.thread = threading.get_ident()
        missing = [name for name in self.engine.types if name not in self.addresses]
        if self.shape is None or missing:
            return self.trt.refuse(f"no shape or no address of {missing}")
        recording = found.recording is not None
        if recording and self.deferred:
            found.spoilt = True
            return self.trt.refuse("shapes changed since the last enqueue")
        if recording and self.engine.facts.get("not_capturable"):
            found.spoilt = True
            return self.trt.refuse("operation not permitted when stream is capturing")
        if self.engine.facts.get("failing"):
            return self.trt.refuse("Error Code 1: Cuda Runtime (an illegal memory access)")
        self.deferred = False
        shape, addresses, state = self.shape, dict(self.addresses), self.state

        def start() -> Callable[[], None]:
            self.enqueued += 1
            number = self.enqueued
            if recording and state != self.state:
                self.cuda.faults.append("a graph of another shape or address was launched")

            def work() -> None:
                if number != self.executed + 1:
                    self.cuda.faults.append("two passes of one execution context at once")
                self.executed = number
                self._compute(shape, addresses)

            return work

        if recording:
            found.recording.append(start)
            return True
        return self.cuda.enqueue(stream, start()) == self.cuda.CUresult.CUDA_SUCCESS

    def _compute(self, shape: tuple[int, ...], addresses: dict[str, int]) -> None:
        arrays = {}
        for name, kind in self.engine.types.items():
            dtype = np.dtype(kind)
            size = {"rho": (2,), "image": shape}.get(name) or self._sizes(shape)[name]
            count = int(np.prod(size)) * dtype.itemsize
            memory = self.cuda.find(addresses[name], count)
            if memory is None or memory.on_host:
                self.cuda.faults.append(f"{name} is in no memory of the GPU")
                return
            raw = (ctypes.c_uint8 * count).from_address(addresses[name])
            arrays[name] = np.frombuffer(raw, dtype).reshape(size)
        image = arrays["image"]
        arrays["labels"][:] = image[..., 2] // 64
        wrong = self.engine.facts.get("wrong", 0.0)  # share of labels, the first of each image
        arrays["labels"].reshape(len(image), -1)[:, : round(wrong * image[0, ..., 0].size)] ^= 1
        cells = np.moveaxis(image[:, ::8, ::8], 3, 0).astype(np.float32) / np.float32(255)
        if "rho" not in arrays:
            arrays["confidence"][:] = np.maximum(cells[2], LEAST)
            return
        first, second = (cells[i] > arrays["rho"][i] for i in range(2))
        arrays["stages"][:] = np.where(first, 1, np.where(second, 2, 3))
        left_at = np.where(first, cells[0], np.where(second, cells[1], cells[2]))
        arrays["confidence"][:] = np.maximum(left_at, LEAST)

    def _sizes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        n, h, w, _ = shape
        cells = (n, -(-h // 8), -(-w // 8))
        return {"labels": (n, h, w), "stages": cells, "confidence": cells}

    def __del__(self) -> None:
        self.engine.alive -= 1
        if not self.cuda.stack:
            self.cuda.faults.append("an execution context freed without a CUDA context")
