"""Arrays on a GPU that come from and go to other libraries without a copy.

pycuda's GPUArray, cupy, numba and torch describe theirs by ``__cuda_array_interface__``
(https://nvidia.github.io/numba-cuda/user/cuda_array_interface.html, version 3) or by DLPack
(https://data-apis.org/array-api/latest/API_specification/generated/array_api.array.__dlpack__.html).
Both say whose stream has to wait for whom, and what is here does so on the GPU; the host waits
for nothing. **not run on a GPU.**
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.errors import UsageError
from lc_trt.runtime.cuda import dlpack
from lc_trt.runtime.cuda.driver import (
    LEGACY_STREAM,
    CudaError,
    DeviceMemory,
    Event,
    Gpu,
    download_now,
    memory_context,
    memory_ordinal,
    stream_context,
)

ALIGNMENT = 256  # bytes; required by IExecutionContext::setTensorAddress


class DeviceArray:
    """A contiguous output on the GPU, for any library that takes one of the two protocols.

    Its memory lives as long as this object or an array created from it. Its content is valid until
    the next pass of the same thread, which writes to the same place; clone it to keep it.

    Attributes:
        shape: in elements.
        dtype: NumPy's type of an element.
        address: of the first element.
        stream: handle of the stream that writes it; None if that is done.
    """

    def __init__(
        self,
        memory: DeviceMemory,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        stream: int | None,
        done: Event,
    ) -> None:
        self._memory, self._done = memory, done
        self.shape, self.dtype, self.stream = shape, np.dtype(dtype), stream
        self.address = memory.address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": self.stream,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, self._memory.gpu.ordinal

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("an output of an engine is exported where it is, not as a copy")
        if stream == 0:
            raise ValueError("stream 0 may be either default stream: give 1 or 2")
        if self.stream is not None and stream not in (-1, self.stream):
            with self._memory.gpu.current():
                self._done.delay(LEGACY_STREAM if stream is None else stream)
        return dlpack.make_capsule(
            self._memory,
            self.address,
            self.shape,
            self.dtype,
            self.__dlpack_device__(),
            versioned=max_version is not None and max_version >= dlpack.VERSION,
        )

    def numpy(self) -> npt.NDArray[Any]:
        """A copy on the host, once the pass is done."""
        array = np.empty(self.shape, self.dtype)
        with self._memory.gpu.current():
            self._done.synchronise()
            download_now(array, self.address)
        return array

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype} {list(self.shape)} on cuda:{self._memory.gpu.ordinal})"


@dataclass(frozen=True)
class Borrowed:
    """Another library's array on the GPU, ready to be read by work enqueued from now on.

    Attributes:
        address: of the first element.
        shape: in elements.
        dtype: of an element.
        owner: keeps it alive.
        producer: handle of the stream that wrote it, if known and another; None otherwise.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object
    producer: int | None = None


def on_gpu(array: Any) -> bool:
    """Whether an array is in the memory of a GPU.

    Args:
        array: of any library.
    """
    device = getattr(array, "__dlpack_device__", None)
    if device is not None:
        return int(device()[0]) in (dlpack.CUDA, dlpack.CUDA_MANAGED)
    return hasattr(array, "__cuda_array_interface__")


def to_host(name: str, array: Any) -> npt.NDArray[Any]:
    """An array on the host as a NumPy array, without a copy.

    Args:
        name: for the error.
        array: of any library.

    Raises:
        ValueError: it is no array.
    """
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "__dlpack__"):
        return np.from_dlpack(array)
    raise ValueError(f"{name} is a {type(array).__name__}, expected an array")


def borrow(name: str, array: Any, gpu: Gpu, stream: int) -> Borrowed:
    """Take another library's array as input, in the GPU's context.

    Args:
        name: of the input, for the error.
        array: with ``__dlpack__`` or ``__cuda_array_interface__``.
        gpu: of the engine.
        stream: handle of the stream whose later work reads it.

    Raises:
        UsageError: it is not contiguous or aligned, or lies elsewhere than on this GPU and
            in this context.
    """
    # DLPack first: it has the producer wait for its own streams, and torch's other
    # interface names none.
    if hasattr(array, "__dlpack__"):
        buffer = _from_dlpack(name, array, stream)
    else:
        buffer = _from_interface(name, array, gpu, stream)
    if buffer.address % ALIGNMENT:
        raise UsageError(
            f"{name} starts at an address that is no multiple of {ALIGNMENT} bytes, as a slice "
            "may: give a copy of it"
        )
    with gpu.current():
        _check_place(name, buffer.address, gpu)
    return buffer


def _from_dlpack(name: str, array: Any, stream: int) -> Borrowed:
    try:
        capsule = array.__dlpack__(stream=stream, max_version=dlpack.VERSION)
    except TypeError:  # from before there were versions
        capsule = array.__dlpack__(stream=stream)
    try:
        buffer = dlpack.describe(capsule)
    except ValueError as error:
        raise UsageError(f"{name} cannot be taken over: {error}") from error
    _check_contiguous(name, buffer.shape, buffer.strides, buffer.dtype.itemsize)
    return Borrowed(buffer.address, buffer.shape, buffer.dtype, (capsule, array))


def _from_interface(name: str, array: Any, gpu: Gpu, stream: int) -> Borrowed:
    facts = array.__cuda_array_interface__
    if facts.get("mask") is not None:
        raise UsageError(f"{name} is a masked array, expected one without a mask")
    dtype, shape = np.dtype(facts["typestr"]), tuple(facts["shape"])
    _check_contiguous(name, shape, facts.get("strides"), dtype.itemsize)
    # Before version 3 no stream is named; as DLPack does then, the default one is taken, which
    # waits for all streams but those that were made not to.
    producer = facts.get("stream") if facts.get("version", 0) >= 3 else LEGACY_STREAM
    if producer == 0:
        raise UsageError(f"{name} names stream 0, which may be either default stream: 1 or 2")
    if producer in (None, stream):
        producer = None
    else:
        with gpu.current():
            written = Event(gpu)
            written.record(producer)
            written.delay(stream)
    return Borrowed(int(facts["data"][0]), shape, dtype, array, producer)


def _check_contiguous(
    name: str, shape: Sequence[int], strides: Sequence[int] | None, itemsize: int
) -> None:
    if strides is None:
        return
    step = itemsize
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and stride != step:
            raise UsageError(
                f"{name} has strides {tuple(strides)} of bytes, expected contiguous {tuple(shape)}:"
                " give a contiguous copy"
            )
        step *= length


def _check_place(name: str, address: int, gpu: Gpu) -> None:
    try:
        ordinal = memory_ordinal(address)
    except CudaError as error:
        raise UsageError(f"{name} is no memory of a GPU that CUDA knows ({error})") from error
    if ordinal != gpu.ordinal:
        raise UsageError(
            f"{name} is on cuda:{ordinal}, the engine on cuda:{gpu.ordinal}: copy it there, or "
            f'load the bundle with device="cuda:{ordinal}"'
        )
    if memory_context(address) not in (None, gpu.context):
        raise UsageError(
            f"{name} belongs to another CUDA context than the engine: make its context current "
            "before you load the bundle"
        )


def stream_handle(stream: Any, gpu: Gpu) -> int:
    """The handle of a stream.

    Args:
        stream: an integer, or a stream of torch, cupy, pycuda, numba or cuda.core.
        gpu: of the engine.

    Raises:
        UsageError: it is none, or one of another context.
    """
    handle = _handle(stream)
    # CUDA takes 0 for the default stream; both array protocols want it named.
    if handle in (0, LEGACY_STREAM):
        return LEGACY_STREAM
    with gpu.current():
        context = stream_context(handle)
    if context != gpu.context:
        raise UsageError(
            "the stream belongs to another CUDA context than the engine: make its context "
            "current before you load the bundle"
        )
    return handle


def _handle(stream: Any) -> int:
    if hasattr(stream, "__cuda_stream__"):
        return int(stream.__cuda_stream__()[1])
    for attribute in ("cuda_stream", "ptr", "handle"):  # torch, cupy, pycuda
        if hasattr(stream, attribute):
            return int(getattr(stream, attribute))
    if isinstance(stream, int):
        return stream
    raise UsageError(
        f"stream is a {type(stream).__name__}, expected the handle of a CUDA stream or a stream "
        "of torch, cupy, pycuda or cuda.core"
    )
