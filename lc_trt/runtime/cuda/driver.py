"""CUDA's driver through cuda-python: a GPU and its context, memory, streams, events, graphs.

Everything of an engine lives in one context, which `Gpu.open` chooses: the one that is current
where the engine is loaded (pycuda's, say), or else the GPU's primary context, which torch, cupy
and the CUDA runtime use. `Gpu.current` makes it current around calls and puts the caller's own
back. GPU memory is freed when its last reference is dropped.

**not run on a GPU**: the tests run this on a fake driver, and hold every name used here against
cuda-python.
"""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from cuda.bindings import driver as cuda

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.utils.devices import check_device, parse_device

LEGACY_STREAM = 1  # handle of the default stream, for CUDA and for the array protocols
_log = logging.getLogger("lc_trt")


class CudaError(LcTrtError):
    """A call of the driver failed; the message says which, and how."""


def check(result: tuple[Any, ...], doing: str) -> Any:
    """The value of a driver call, as in ``check(cuda.cuMemAlloc(n), "allocate")``.

    Args:
        result: the error code and the values that the call returned.
        doing: the purpose of the call, for the error.

    Returns:
        The first value; None for a call that has none.

    Raises:
        CudaError: the call failed.
    """
    error, *values = result
    if error != cuda.CUresult.CUDA_SUCCESS:
        status, text = cuda.cuGetErrorString(error)
        known = status == cuda.CUresult.CUDA_SUCCESS and text is not None
        reason = text.decode() if known else "unknown error"
        raise CudaError(f"CUDA could not {doing}: {reason} ({getattr(error, 'name', error)})")
    return values[0] if values else None


class Gpu:
    """One GPU, and the context on it.

    Attributes:
        ordinal: its number among those visible to this process.
        name: from the driver.
        capability: compute capability (major, minor).
        context: handle of the context.
    """

    def __init__(self, ordinal: int, context: int, retained: bool) -> None:
        self.ordinal, self.context = ordinal, context
        device = check(cuda.cuDeviceGet(ordinal), f"find GPU {ordinal}")
        if retained:
            _finally(self, _release_primary, ordinal)
        name = check(cuda.cuDeviceGetName(256, device), "read the GPU's name")
        self.name: str = name.split(b"\0")[0].decode()
        self.capability: tuple[int, int] = _capability(device)

    @classmethod
    def open(cls, device: str | None = None) -> Gpu:
        """The GPU to use.

        Args:
            device: ``cuda:N``; ``cuda`` or None for that of the current context, GPU 0
                where there is none.

        Raises:
            UsageError: no such device.
            LcTrtError: no driver or no GPU here.
        """
        name = parse_device(device)
        check_device(name, "tensorrt", on_gpu=True)
        requested = None if name is None or name == "cuda" else int(name.removeprefix("cuda:"))
        count = gpu_count()
        current = int(check(cuda.cuCtxGetCurrent(), "ask for the current context"))
        if current:
            ordinal = int(check(cuda.cuCtxGetDevice(), "ask for the current device"))
            if requested in (None, ordinal):
                return cls(ordinal, current, retained=False)
        ordinal = requested or 0
        if ordinal >= count:
            raise UsageError(
                f"device cuda:{ordinal}: expected cuda:0 to cuda:{count - 1}, the GPUs that CUDA "
                "shows this process"
            )
        handle = check(cuda.cuDeviceGet(ordinal), f"find GPU {ordinal}")
        primary = check(cuda.cuDevicePrimaryCtxRetain(handle), f"open GPU {ordinal}")
        return cls(ordinal, int(primary), retained=True)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current in this thread, and the caller's own again afterwards."""
        check(cuda.cuCtxPushCurrent(self.context), "enter the engine's CUDA context")
        try:
            yield
        finally:
            check(cuda.cuCtxPopCurrent(), "leave the engine's CUDA context")


def gpu_count() -> int:
    """Number of GPUs visible to this process.

    Raises:
        LcTrtError: no driver, or no GPU.
    """
    advice = "install NVIDIA's driver, or build for the CPU: lc-trt build MODEL.onnx -o NAME.lct"
    try:
        check(cuda.cuInit(0), "start")
        count = int(check(cuda.cuDeviceGetCount(), "count GPUs"))
    except CudaError as error:
        raise LcTrtError(f"{error}; {advice} --backend openvino") from error
    except RuntimeError as error:  # cuda-python found no driver library
        raise LcTrtError(f"no NVIDIA driver here; {advice} --backend openvino") from error
    if not count:
        raise LcTrtError(f"no NVIDIA GPU is visible here; {advice} --backend openvino")
    return count


def capabilities() -> list[tuple[int, int]]:
    """Compute capability (major, minor) of each GPU visible to this process."""
    return [
        _capability(check(cuda.cuDeviceGet(ordinal), f"find GPU {ordinal}"))
        for ordinal in range(gpu_count())
    ]


def _capability(device: Any) -> tuple[int, int]:
    attribute = cuda.CUdevice_attribute
    major, minor = (
        int(check(cuda.cuDeviceGetAttribute(which, device), "read the compute capability"))
        for which in (
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    return major, minor


class DeviceMemory:
    """Bytes on the GPU, freed with the last reference.

    Attributes:
        address: a multiple of 256, as cuMemAlloc returns it.
        size: bytes.
    """

    def __init__(self, gpu: Gpu, size: int) -> None:
        self.gpu, self.size = gpu, size
        with gpu.current():
            address = check(cuda.cuMemAlloc(size), f"allocate {size} bytes on GPU {gpu.ordinal}")
        self.address = int(address)
        address = self.address
        when_gone(self, gpu, lambda: check(cuda.cuMemFree(address), "free GPU memory"))


class PinnedMemory:
    """Page-locked bytes on the host, which the GPU copies asynchronously.

    Attributes:
        address: of the first byte.
        array: uint8 [size], the bytes; valid as long as this object.
    """

    def __init__(self, gpu: Gpu, size: int) -> None:
        with gpu.current():
            address = check(cuda.cuMemHostAlloc(size, 0), f"allocate {size} pinned bytes")
        self.address = int(address)
        self.array: npt.NDArray[np.uint8] = np.ctypeslib.as_array(
            (ctypes.c_uint8 * size).from_address(self.address)
        )
        address = self.address
        when_gone(self, gpu, lambda: check(cuda.cuMemFreeHost(address), "free pinned memory"))


class Event:
    """A point in a stream."""

    def __init__(self, gpu: Gpu) -> None:
        flag = cuda.CUevent_flags.CU_EVENT_DISABLE_TIMING
        with gpu.current():
            handle = self._handle = check(cuda.cuEventCreate(flag), "make an event")
        when_gone(self, gpu, lambda: check(cuda.cuEventDestroy(handle), "free an event"))

    def record(self, stream: int) -> None:
        """Mark the end of all work enqueued on a stream so far.

        Args:
            stream: its handle.
        """
        check(cuda.cuEventRecord(self._handle, stream), "record an event")

    def delay(self, stream: int) -> None:
        """Let all later work on a stream wait for the event.

        Args:
            stream: its handle.
        """
        check(cuda.cuStreamWaitEvent(stream, self._handle, 0), "wait for another stream")

    def synchronise(self) -> None:
        """Wait for the event on the host."""
        check(cuda.cuEventSynchronize(self._handle), "wait for the GPU")


class Stream:
    """A stream of our own that does not wait for the default stream."""

    def __init__(self, gpu: Gpu) -> None:
        flag = cuda.CUstream_flags.CU_STREAM_NON_BLOCKING
        with gpu.current():
            handle = check(cuda.cuStreamCreate(flag), "make a stream")
        self.handle = int(handle)
        when_gone(self, gpu, lambda: check(cuda.cuStreamDestroy(handle), "free a stream"))


class Graph:
    """Recorded work that starts with one call."""

    def __init__(self, gpu: Gpu, stream: int, work: Callable[[], None]) -> None:
        """Record work without running it.

        Args:
            gpu: of the stream.
            stream: handle of a stream of our own; the default stream cannot be recorded.
            work: enqueues it on that stream.

        Raises:
            LcTrtError: it cannot be recorded; the stream is as it was before.
        """
        # Other threads may allocate meanwhile, which the global mode would take for an error.
        mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        check(cuda.cuStreamBeginCapture(stream, mode), "begin to record a graph")
        try:
            work()
        except BaseException:
            with suppress(CudaError):  # the error is that of the work
                graph = check(cuda.cuStreamEndCapture(stream), "end a recording")
                check(cuda.cuGraphDestroy(graph), "free a graph")
            raise
        graph = check(cuda.cuStreamEndCapture(stream), "record a graph")
        try:
            handle = self._handle = check(cuda.cuGraphInstantiate(graph, 0), "instantiate a graph")
        finally:
            check(cuda.cuGraphDestroy(graph), "free a graph")
        when_gone(self, gpu, lambda: check(cuda.cuGraphExecDestroy(handle), "free a graph"))

    def launch(self, stream: int) -> None:
        """Enqueue all of it on a stream.

        Args:
            stream: its handle.
        """
        check(cuda.cuGraphLaunch(self._handle, stream), "launch a graph")


def upload(target: int, source: PinnedMemory, size: int, stream: int) -> None:
    """Enqueue a copy to the GPU.

    Args:
        target: address on the GPU.
        source: its first bytes are copied.
        size: bytes.
        stream: handle of the stream.
    """
    check(cuda.cuMemcpyHtoDAsync(target, source.address, size, stream), "copy to the GPU")


def download(target: PinnedMemory, source: int, size: int, stream: int) -> None:
    """Enqueue a copy from the GPU.

    Args:
        target: gets the bytes at its beginning.
        source: address on the GPU.
        size: bytes.
        stream: handle of the stream.
    """
    check(cuda.cuMemcpyDtoHAsync(target.address, source, size, stream), "copy from the GPU")


def stream_context(stream: int) -> int:
    """The context that a stream belongs to; the current one for the default streams.

    Args:
        stream: its handle.
    """
    return int(check(cuda.cuStreamGetCtx(stream), "ask for a stream's context"))


def memory_ordinal(address: int) -> int:
    """The GPU that memory at an address is on.

    Args:
        address: in memory that CUDA allocated.

    Raises:
        CudaError: it is in none.
    """
    which = cuda.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    return int(check(cuda.cuPointerGetAttribute(which, address), "find the memory"))


def memory_context(address: int) -> int | None:
    """The context that memory at an address belongs to; None for memory of a pool.

    Args:
        address: any.
    """
    which = cuda.CUpointer_attribute.CU_POINTER_ATTRIBUTE_CONTEXT
    try:
        return int(check(cuda.cuPointerGetAttribute(which, address), "find the context")) or None
    except CudaError:
        return None


def download_now(target: npt.NDArray[Any], source: int) -> None:
    """Fill an array from the GPU, and wait for it.

    Args:
        target: contiguous.
        source: address on the GPU.
    """
    check(cuda.cuMemcpyDtoH(target.ctypes.data, source, target.nbytes), "copy from the GPU")


def when_gone(owner: object, gpu: Gpu, free: Callable[[], Any]) -> weakref.finalize[..., Any]:
    """Free something in the GPU's context once its owner is collected.

    Args:
        owner: any object that can be referred to weakly.
        gpu: whose context is current during the call.
        free: what to call; must not refer to the owner.
    """
    return _finally(owner, _free, gpu, free)


def _finally(owner: object, *call: Any) -> weakref.finalize[..., Any]:
    finalizer = weakref.finalize(owner, *call)
    # A process that ends frees all of it, and a context that others made may be gone by then.
    finalizer.atexit = False
    return finalizer


def _free(gpu: Gpu, free: Callable[[], Any]) -> None:
    try:
        with gpu.current():
            free()
    except CudaError as error:  # in a finalizer no caller could handle it
        _log.warning("%s; was the CUDA context closed before the engine?", str(error))


def _release_primary(ordinal: int) -> None:
    try:
        device = check(cuda.cuDeviceGet(ordinal), f"find GPU {ordinal}")
        check(cuda.cuDevicePrimaryCtxRelease(device), f"let go of GPU {ordinal}")
    except CudaError as error:
        _log.warning("%s", str(error))
