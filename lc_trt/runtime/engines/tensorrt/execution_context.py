"""One execution context of TensorRT with what goes with it: buffers, a stream, a CUDA graph.

Requirements of TensorRT (NvInferRuntime.h and the guide's chapter on CUDA graphs):

- A context serves one thread at a time, and its passes are serialised on the GPU, since they
  share its memory. Contexts of one engine may run beside each other, with the same profile.
- Each input and output has an address, a multiple of 256, before a pass is enqueued.
- The first pass after a change of shape does work that a graph cannot hold, so the second is the
  one that is recorded. A graph holds for the shape and the addresses it was recorded with.
- The default stream cannot be recorded, so that is done on a stream of our own, whatever stream
  the graph is launched on.

**not run on a GPU.**
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError
from lc_trt.runtime.cuda.device_array import Borrowed, DeviceArray
from lc_trt.runtime.cuda.driver import (
    CudaError,
    DeviceMemory,
    Event,
    Gpu,
    Graph,
    PinnedMemory,
    Stream,
    download,
    upload,
    when_gone,
)
from lc_trt.trt.api import TensorRT

_log = logging.getLogger("lc_trt")


def ask(tensorrt: TensorRT, failure: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call TensorRT, which returns None or False on failure and logs the reason.

    Args:
        tensorrt: whose log has the reason.
        failure: beginning of the error.
        call: the method.
        *arguments: of the call.

    Returns:
        The result of the call.

    Raises:
        LcTrtError: it failed.
    """
    with tensorrt.messages() as messages:
        answer = call(*arguments)
    del call  # an error keeps this frame, which must not keep what the call belongs to
    if answer is None or answer is False:
        raise LcTrtError(f"{failure}: {'; '.join(messages.errors()) or 'it gave no reason'}")
    return answer


def free_all(owned: list[Any]) -> None:
    """Drop the references to objects, the last first.

    Args:
        owned: is emptied.
    """
    while owned:
        owned.pop()


@dataclass(frozen=True)
class Port:
    """An input or output of a plan."""

    name: str
    dtype: np.dtype[Any]
    is_input: bool


class PassContext:
    """Runs the passes of one thread, one after the other."""

    def __init__(self, gpu: Gpu, engine: Any, ports: list[Port], tensorrt: TensorRT) -> None:
        self._gpu, self._ports, self._tensorrt = gpu, ports, tensorrt
        what = "TensorRT could not make an execution context"
        with gpu.current():
            self._owned = [ask(tensorrt, what, engine.create_execution_context)]
        # TensorRT frees a context's memory when it goes, which wants the CUDA context current.
        when_gone(self, gpu, partial(free_all, self._owned))
        self._stream, self._done = Stream(gpu), Event(gpu)
        self._shape: tuple[int, ...] = ()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._bound: dict[str, int] = {}
        self._device: dict[str, DeviceMemory] = {}
        self._pinned: dict[str, PinnedMemory] = {}
        self._in_use: list[Borrowed] = []
        self._pending = False
        self._runs = 0  # with this shape and these addresses
        self._graph: Graph | None = None
        self._graphs_refused = False

    @property
    def _context(self) -> Any:
        """TensorRT's IExecutionContext; keep no reference to it."""
        return self._owned[0]

    @property
    def own_stream(self) -> int:
        """Handle of the stream for callers that have none."""
        return self._stream.handle

    def to_host(
        self, feed: Mapping[str, npt.NDArray[Any] | Borrowed], stream: int
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a pass, copy its outputs to the host and wait for them.

        Args:
            feed: inputs by name, on the host or borrowed on the GPU.
            stream: handle of the stream.

        Returns:
            The outputs by name, copies.
        """
        with self._gpu.current(), self._cleared(stream):
            self._enqueue(feed, stream)
            outputs = [port for port in self._ports if not port.is_input]
            for port in outputs:
                size = self._size(port)
                pinned = self._pin(port.name, size)
                download(pinned, self._device[port.name].address, size, stream)
            self._end(stream)
            self.finish()
        return {port.name: self._read(port) for port in outputs}

    def on_gpu(
        self, feed: Mapping[str, npt.NDArray[Any] | Borrowed], stream: int
    ) -> dict[str, DeviceArray]:
        """Enqueue a pass and leave its outputs on the GPU; on our own stream wait for it.

        Args:
            feed: inputs by name, on the host or borrowed on the GPU.
            stream: handle of the stream.

        Returns:
            The outputs by name, valid until the next pass.
        """
        with self._gpu.current(), self._cleared(stream):
            self._enqueue(feed, stream)
            self._end(stream)
            if stream == self.own_stream:
                self.finish()
        writer = stream if self._pending else None
        return {
            port.name: DeviceArray(
                self._device[port.name], self._shapes[port.name], port.dtype, writer, self._done
            )
            for port in self._ports
            if not port.is_input
        }

    def finish(self) -> None:
        """Wait until the last pass is done, which frees its buffers, inputs and graph."""
        if self._pending:
            self._pending = False
            self._done.synchronise()
        self._in_use = []

    def close(self) -> None:
        """Free everything except outputs that are still referenced."""
        with self._gpu.current():
            self.finish()
            self._graph = None
            free_all(self._owned)
            self._device, self._pinned = {}, {}
            del self._stream, self._done

    @contextmanager
    def _cleared(self, stream: int) -> Iterator[None]:
        """Begin when the last pass is done; after an error leave nothing that still runs."""
        self.finish()
        try:
            yield
        except BaseException:
            with suppress(CudaError):  # the first error is the one to tell
                self._end(stream)
                self.finish()
            raise

    def _enqueue(self, feed: Mapping[str, npt.NDArray[Any] | Borrowed], stream: int) -> None:
        self._set_shapes({name: tuple(value.shape) for name, value in feed.items()})
        addresses = {}
        for port in self._ports:
            value = feed.get(port.name)
            if isinstance(value, Borrowed):
                addresses[port.name] = value.address
                continue
            size = self._size(port)
            memory = self._device.get(port.name)
            if memory is None or memory.size < size:
                memory = self._device[port.name] = DeviceMemory(self._gpu, size)
            addresses[port.name] = memory.address
            if value is not None:
                pinned = self._pin(port.name, size)
                pinned.array[:size] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
                upload(memory.address, pinned, size, stream)
        self._bind(addresses)
        self._in_use = [value for value in feed.values() if isinstance(value, Borrowed)]
        self._launch(stream)

    def _end(self, stream: int) -> None:
        self._done.record(stream)
        self._pending = True
        for borrowed in self._in_use:
            if borrowed.producer is not None:  # its next write must not overtake our reading
                self._done.delay(borrowed.producer)

    def _set_shapes(self, shapes: dict[str, tuple[int, ...]]) -> None:
        if all(self._shapes.get(name) == shape for name, shape in shapes.items()):
            return
        self._forget_graph()
        self._shapes = {}
        for name, shape in shapes.items():
            what = f"TensorRT refused {name} of {list(shape)}"
            ask(self._tensorrt, what, self._context.set_input_shape, name, shape)
        shapes = {}
        for port in self._ports:
            shapes[port.name] = tuple(self._context.get_tensor_shape(port.name))
            if min(shapes[port.name]) < 0:
                raise LcTrtError(f"the shape of {port.name} depends on the data: {shapes}")
        self._shapes = shapes

    def _bind(self, addresses: dict[str, int]) -> None:
        if addresses == self._bound:
            return
        self._forget_graph()
        self._bound = {}
        for name, address in addresses.items():
            what = f"TensorRT refused the address of {name}"
            ask(self._tensorrt, what, self._context.set_tensor_address, name, address)
        self._bound = addresses

    def _launch(self, stream: int) -> None:
        if self._runs == 1 and not self._graphs_refused:
            self._record()
        if self._graph is None:
            self._execute(stream)
        else:
            self._graph.launch(stream)
        self._runs += 1

    def _record(self) -> None:
        own = self.own_stream
        try:
            self._graph = Graph(self._gpu, own, lambda: self._execute(own))
        except LcTrtError as error:
            self._graphs_refused = True
            _log.warning("no CUDA graph, each pass is enqueued anew: %s", str(error))

    def _execute(self, stream: int) -> None:
        what = "TensorRT could not run the engine"
        ask(self._tensorrt, what, self._context.execute_async_v3, stream)

    def _forget_graph(self) -> None:
        self._graph, self._runs = None, 0

    def _size(self, port: Port) -> int:
        return int(np.prod(self._shapes[port.name], dtype=np.int64)) * port.dtype.itemsize

    def _pin(self, name: str, size: int) -> PinnedMemory:
        memory = self._pinned.get(name)
        if memory is None or memory.array.size < size:
            memory = self._pinned[name] = PinnedMemory(self._gpu, size)
        return memory

    def _read(self, port: Port) -> npt.NDArray[Any]:
        content = self._pinned[port.name].array[: self._size(port)].view(port.dtype)
        return content.reshape(self._shapes[port.name]).copy()
