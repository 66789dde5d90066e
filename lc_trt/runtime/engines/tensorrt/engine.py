"""TensorRT on an NVIDIA GPU: plans that ``lc-trt build --backend tensorrt`` made.

docs/gpu-runtime.md says how arrays, streams and contexts are shared. **not run on a GPU**: the
tests run all of this on a fake driver and a fake TensorRT that refuse what the real ones refuse.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.sections import PluginRecord, TensorRTBuild
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import CONFIDENCE, IMAGE, LABELS, RHO, STAGES
from lc_trt.runtime.cuda import device_array
from lc_trt.runtime.cuda.device_array import Borrowed, DeviceArray
from lc_trt.runtime.cuda.driver import Gpu, when_gone
from lc_trt.runtime.engines.base import Engine, EngineOutput, describe
from lc_trt.runtime.engines.tensorrt.compatibility import (
    REBUILD,
    check_gpu,
    check_plugin,
    check_version,
)
from lc_trt.runtime.engines.tensorrt.execution_context import PassContext, Port, ask, free_all
from lc_trt.trt.api import TensorRT
from lc_trt.trt.plugin_library import read_library
from lc_trt.utils import machine as environment

TYPES = {
    IMAGE: np.dtype(np.uint8),
    RHO: np.dtype(np.float32),
    LABELS: np.dtype(np.uint8),
    STAGES: np.dtype(np.uint8),
    CONFIDENCE: np.dtype(np.float32),
}


@dataclass(frozen=True)
class DeviceOutput:
    """One pass, left on the GPU; `DeviceArray` says how long it holds.

    Attributes:
        labels, stages, confidence: as in `EngineOutput`.
    """

    labels: DeviceArray
    stages: DeviceArray | None
    confidence: DeviceArray


class TensorRTEngine(Engine):
    """A plan on one GPU. Each thread has an execution context; their passes may overlap."""

    backend = "tensorrt"

    def __init__(self, origin: str, plan: bytes, gpu: Gpu, tensorrt: TensorRT) -> None:
        self._gpu, self._tensorrt = gpu, tensorrt
        self.gpu = environment.Gpu(gpu.name, "{}.{}".format(*gpu.capability))
        # Runtime and engine. Nothing else refers to them, not even the frame that an error comes
        # from: TensorRT wants the context current when they go.
        self._owned: list[Any] = []
        when_gone(self, gpu, partial(free_all, self._owned))
        with gpu.current():
            _deserialise(self._owned, origin, plan, gpu, tensorrt)
            self._ports = _ports(tensorrt.module, self._owned)
            inputs = {p.name: _profile(self._owned, p.name) for p in self._ports if p.is_input}
        for port in self._ports:
            if port.dtype != TYPES.get(port.name, port.dtype):
                raise LcTrtError(
                    f"{origin}: {port.name} is {port.dtype}, expected {TYPES[port.name]}; {REBUILD}"
                )
        outputs = {port.name for port in self._ports if not port.is_input}
        super().__init__(origin, {name: shapes[1] for name, shapes in inputs.items()}, outputs)
        self.smallest, _, self.largest = inputs[IMAGE]
        self._own = threading.local()
        self._contexts: weakref.WeakSet[PassContext] = weakref.WeakSet()
        self._running = 0
        self._idle = threading.Condition(self._lock)

    @property
    def device(self) -> str:
        """``cuda:N``, the GPU it is on."""
        return f"cuda:{self._gpu.ordinal}"

    def run(self, image: Any, rho: Any = None, *, stream: Any = None) -> EngineOutput:
        """One pass, with its outputs on the host.

        Args:
            image: uint8 [N, H, W, 3], BGR, from `smallest` to `largest`: NumPy's, or any array
                with ``__cuda_array_interface__`` or ``__dlpack__``, which is read where it is.
            rho: float32 [2] likewise, one threshold per boundary; a cascade needs it, a dense
                network takes none.
            stream: a CUDA stream to enqueue on; default one of the engine's own.

        Raises:
            ValueError: an array of another shape or type.
            UsageError: an array or a stream of another GPU or context, or not contiguous.
            LcTrtError: the engine was closed, or CUDA or TensorRT failed; the message holds
                what they said.
        """
        with self._turn():
            context = self._context()
            handle = self._stream(stream, context)
            outputs = context.to_host(self._feed(image, rho, handle), handle)
        return EngineOutput(outputs[LABELS], outputs.get(STAGES), outputs[CONFIDENCE])

    def run_device(self, image: Any, rho: Any = None, *, stream: Any = None) -> DeviceOutput:
        """Run a pass and leave its outputs on the GPU.

        Without a stream the pass is done on return. With one it may not be: later work on that
        stream sees the outputs, the arrays make other streams wait, and the inputs must not
        change until then. Each thread has one pass in flight; its next call waits for it.

        Args:
            image: as for `run`.
            rho: as for `run`.
            stream: as for `run`.
        """
        with self._turn():
            context = self._context()
            handle = self._stream(stream, context)
            outputs = context.on_gpu(self._feed(image, rho, handle), handle)
        return DeviceOutput(outputs[LABELS], outputs.get(STAGES), outputs[CONFIDENCE])

    def _context(self) -> PassContext:
        """This thread's."""
        context: PassContext | None = getattr(self._own, "context", None)
        if context is None:
            context = PassContext(self._gpu, self._owned[-1], self._ports, self._tensorrt)
            self._own.context = context
            with self._lock:
                self._contexts.add(context)
        return context

    def _stream(self, stream: Any, context: PassContext) -> int:
        if stream is None:
            return context.own_stream
        return device_array.stream_handle(stream, self._gpu)

    def _feed(self, image: Any, rho: Any, stream: int) -> dict[str, npt.NDArray[Any] | Borrowed]:
        feed = {IMAGE: self._take(IMAGE, image, stream)}
        self._check_image(feed[IMAGE].shape, feed[IMAGE].dtype)
        if rho is not None:
            feed[RHO] = self._take(RHO, rho, stream)
        self._check_rho((feed[RHO].shape, feed[RHO].dtype) if RHO in feed else None)
        return feed

    def _take(self, name: str, array: Any, stream: int) -> npt.NDArray[Any] | Borrowed:
        if device_array.on_gpu(array):
            return device_array.borrow(name, array, self._gpu, stream)
        return device_array.to_host(name, array)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._lock:
            self._check_open()
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._idle.notify_all()

    def _release(self) -> None:
        # The lock is held, and let go of while this waits.
        self._idle.wait_for(lambda: self._running == 0)
        for context in tuple(self._contexts):
            context.close()
        with self._gpu.current():
            free_all(self._owned)


def open_plan(
    plan: Path | bytes,
    tensorrt: TensorRT,
    *,
    build: TensorRTBuild,
    built_on: environment.Gpu | None,
    plugin: PluginRecord | None,
    library: Path | None,
    device: str | None,
) -> TensorRTEngine:
    """Load a plan.

    Everything that can differ from where it was built is checked before TensorRT sees the plan.

    Args:
        plan: the file, or its content.
        tensorrt: the package that built it.
        build: the manifest's ``tensorrt``.
        built_on: the manifest's ``gpu``.
        plugin: the manifest's ``plugin``.
        library: the plugin library; None where ``plugin`` is.
        device: ``cuda:N``; None or ``cuda`` for the GPU of the current CUDA context.

    Raises:
        UsageError: no such device.
        LcTrtError: the plan was built for another GPU, version or plugin library, or does not
            load.
    """
    origin = describe(plan)
    check_version(origin, build, tensorrt)
    try:
        gpu = Gpu.open(device)
    except UsageError:
        raise
    except LcTrtError as error:
        raise LcTrtError(f"{origin}: {error}") from error
    check_gpu(origin, build, built_on, gpu)
    if plugin is not None:
        if library is None:
            raise LcTrtError(f"{origin}: needs its plugin library {plugin.file}")
        plugin_library = read_library(library)
        check_plugin(plugin, plugin_library)
        tensorrt.load_plugins(plugin_library)
    content = plan.read_bytes() if isinstance(plan, Path) else plan
    return TensorRTEngine(origin, content, gpu, tensorrt)


def _deserialise(owned: list[Any], origin: str, plan: bytes, gpu: Gpu, tensorrt: TensorRT) -> None:
    owned.append(tensorrt.module.Runtime(tensorrt.logger))
    (runtime,) = owned
    # The code that a version-compatible plan carries; the bundle's hashes vouch for it.
    runtime.engine_host_code_allowed = True
    failure = f"{origin}: {tensorrt.package} {tensorrt.version} cannot load it on {gpu.name}"
    owned.append(ask(tensorrt, f"{failure}, {REBUILD}", runtime.deserialize_cuda_engine, plan))


def _ports(trt: Any, owned: list[Any]) -> list[Port]:
    engine = owned[-1]
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return [
        Port(
            name,
            np.dtype(trt.nptype(engine.get_tensor_dtype(name))),
            engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
        )
        for name in names
    ]


def _profile(owned: list[Any], name: str) -> list[tuple[int, ...]]:
    """Smallest, best and largest shape of an input."""
    engine = owned[-1]
    shape = tuple(engine.get_tensor_shape(name))
    if min(shape) >= 0:
        return [shape] * 3
    return [tuple(bound) for bound in engine.get_tensor_profile_shape(name, 0)]
