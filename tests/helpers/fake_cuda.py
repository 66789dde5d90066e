"""A driver without a GPU: memory is the host's, and streams keep their work until someone waits.

What is enqueued runs only when an event is waited for, in the order that streams and events
impose and in no other, so that whatever is read or overwritten too early shows. A call that the
real driver refuses is refused here with the same code: memory that is not there, a context that
is not current, allocating while a graph is recorded, recording the default stream.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cuda.bindings import driver as real

Work = Callable[[], Any]
R = real.CUresult
OK = R.CUDA_SUCCESS
LEGACY = 1


@dataclass
class Memory:
    buffer: Any
    address: int
    size: int
    context: int
    on_host: bool


@dataclass
class Stream:
    context: int
    blocking: bool
    queue: list[tuple[int, Work]] = field(default_factory=list)  # ordered by a global number
    done: int = 0  # how many of the queue have run
    recording: list[Callable[[], Work]] | None = None  # what a launch of it calls to get work
    spoilt: bool = False
    thread: int = 0  # that records; no other may do what spoils it either, where all is set
    all: bool = False


def takes(name: str) -> int:
    """How many arguments the real function takes, as its documentation says."""
    text = getattr(real, name).__doc__.splitlines()[0]
    return len([part for part in re.search(r"\((.*)\)", text)[1].split(",") if part.strip()])


class FakeCuda:
    """Stands in for ``cuda.bindings.driver``; enumerations are the real ones.

    Attributes:
        calls: names of the functions called, in order.
        arguments: of the last call of each function.
        fail: codes that functions of these names are to give, by name.
        faults: what a real GPU would have crashed on or computed wrongly.
    """

    def __init__(self, gpus: tuple[tuple[str, tuple[int, int]], ...] = (("Fake 1", (8, 9)),)):
        self.gpus, self.calls, self.fail, self.faults = gpus, [], {}, []
        self.arguments: dict[str, tuple[Any, ...]] = {}
        self.memory: dict[int, Memory] = {}
        self.streams: dict[int, Stream] = {LEGACY: Stream(0, True)}
        self.events: dict[int, tuple[Stream, int] | None] = {}
        self.graphs: dict[int, list[Callable[[], Work]]] = {}
        self.primary: dict[int, int] = {}  # how often retained
        self.contexts: dict[int, int] = {1000 + i: i for i in range(len(gpus))}  # GPU by context
        self._own = threading.local()
        self._numbers = itertools.count(5000)
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("cu"):
            return self._function(name)
        return getattr(real, name)

    def _function(self, name: str) -> Callable[..., Any]:
        work = getattr(type(self), f"_{name}", None)
        if work is None:
            raise AttributeError(f"the fake has no {name}")

        def call(*arguments: Any) -> tuple[Any, ...]:
            assert len(arguments) == takes(name), f"{name} takes {takes(name)}"
            with self._lock:
                self.calls.append(name)
                self.arguments[name] = arguments
                if name in self.fail:
                    return (self.fail[name], None)
                result = work(self, *arguments)
            return result if isinstance(result, tuple) else (result,)

        return call

    @property
    def idle(self) -> bool:
        """Whether all that was made is freed."""
        used = any(self.primary.values())
        return not (used or self.memory or self.graphs or self.events or len(self.streams) > 1)

    # --- devices and contexts -----------------------------------------------------------------

    @property
    def stack(self) -> list[int]:
        """This thread's contexts, the current one last."""
        if not hasattr(self._own, "stack"):
            self._own.stack = []
        return self._own.stack

    def new_context(self, ordinal: int = 0) -> int:
        """A context that is not the primary one, as pycuda.autoinit makes; not yet current."""
        context = next(self._numbers)
        self.contexts[context] = ordinal
        return context

    def _cuInit(self, flags):
        return OK

    def _cuDeviceGetCount(self):
        return OK, len(self.gpus)

    def _cuDeviceGet(self, ordinal):
        return (OK, ordinal) if ordinal < len(self.gpus) else (R.CUDA_ERROR_INVALID_DEVICE, None)

    def _cuDeviceGetName(self, length, device):
        return OK, self.gpus[device][0].encode().ljust(length, b"\0")

    def _cuDeviceGetAttribute(self, attribute, device):
        return OK, self.gpus[device][1]["MINOR" in attribute.name]

    def _cuDevicePrimaryCtxRetain(self, device):
        self.primary[device] = self.primary.get(device, 0) + 1
        return OK, real.CUcontext(1000 + device)

    def _cuDevicePrimaryCtxRelease(self, device):
        self.primary[device] -= 1
        return OK

    def _cuCtxGetCurrent(self):
        return OK, real.CUcontext(self.stack[-1] if self.stack else 0)

    def _cuCtxGetDevice(self):
        return OK, real.CUdevice(self.contexts[self.stack[-1]])

    def _cuCtxPushCurrent(self, context):
        if int(context) not in self.contexts:
            return R.CUDA_ERROR_INVALID_CONTEXT
        self.stack.append(int(context))
        return OK

    def _cuCtxPopCurrent(self):
        return OK, real.CUcontext(self.stack.pop())

    def _cuGetErrorString(self, error):
        return OK, error.name.lower().encode()

    # --- memory -------------------------------------------------------------------------------

    def _forbidden(self) -> Any:
        """The error of a call that may not be made now, in this thread; None if it may."""
        if not self.stack:
            return R.CUDA_ERROR_INVALID_CONTEXT
        for stream in self.streams.values():
            mine = stream.all or stream.thread == threading.get_ident()
            if stream.recording is not None and mine:
                stream.spoilt = True
                return R.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        return None

    def _allocate(self, size: int, on_host: bool) -> tuple[Any, ...]:
        error = self._forbidden()
        if error is not None:
            return error, None
        buffer = ctypes.create_string_buffer(size + 256)
        address = -(-ctypes.addressof(buffer) // 256) * 256
        ctypes.memset(address, 0xEE, size)  # what nobody has written
        self.memory[address] = Memory(buffer, address, size, self.stack[-1], on_host)
        return OK, address

    def _cuMemAlloc(self, size):
        error, address = self._allocate(size, False)
        return error, None if address is None else real.CUdeviceptr(address)

    def _cuMemHostAlloc(self, size, flags):
        return self._allocate(size, True)

    def _cuMemFree(self, address):
        error = self._forbidden()
        if error is not None:
            return error
        memory = self.memory.get(int(address))
        if memory is None or memory.context != self.stack[-1]:
            return R.CUDA_ERROR_INVALID_VALUE
        ctypes.memset(memory.address, 0xDD, memory.size)
        del self.memory[memory.address]
        return OK

    _cuMemFreeHost = _cuMemFree

    def find(self, address: int, size: int = 1) -> Memory | None:
        """The memory that holds these bytes."""
        for memory in self.memory.values():
            if memory.address <= address and address + size <= memory.address + memory.size:
                return memory
        return None

    def _cuPointerGetAttribute(self, attribute, address):
        memory = self.find(int(address))
        if memory is None:
            return R.CUDA_ERROR_INVALID_VALUE, None
        if attribute == real.CUpointer_attribute.CU_POINTER_ATTRIBUTE_CONTEXT:
            return OK, real.CUcontext(memory.context)
        return OK, self.contexts[memory.context]

    def _copy(self, target: int, source: int, size: int, stream: int) -> Any:
        places = self.find(target, size), self.find(source, size)
        if None in places:
            return R.CUDA_ERROR_INVALID_VALUE

        def work() -> None:
            if None in (self.find(target, size), self.find(source, size)):
                self.faults.append("a copy of memory that was freed")
            else:
                ctypes.memmove(target, source, size)

        return self.enqueue(stream, work)

    def _cuMemcpyHtoDAsync(self, target, source, size, stream):
        return self._copy(int(target), int(source), size, int(stream))

    _cuMemcpyDtoHAsync = _cuMemcpyHtoDAsync

    def _cuMemcpyDtoH(self, target, source, size):
        error = self._forbidden()
        if error is not None or self.find(int(source), size) is None:
            return error or R.CUDA_ERROR_INVALID_VALUE
        ctypes.memmove(int(target), int(source), size)
        return OK

    # --- streams and events -------------------------------------------------------------------

    def enqueue(self, handle: int, work: Work) -> Any:
        """Put work on a stream; the code of the call that does so."""
        stream = self.streams.get(handle or LEGACY)
        if stream is None:
            return R.CUDA_ERROR_INVALID_HANDLE
        if not self.stack or stream.context not in (0, self.stack[-1]):
            return R.CUDA_ERROR_INVALID_CONTEXT
        if stream.recording is not None:
            stream.recording.append(lambda: work)
        else:
            stream.queue.append((next(self._numbers), work))
        return OK

    def run(self, stream: Stream, end: int) -> None:
        """Run a stream's work up to its ``end``-th piece, and what has to run before."""
        while stream.done < end:
            number, work = stream.queue[stream.done]
            # The default stream waits for the blocking ones, and they for it.
            legacy = self.streams[LEGACY]
            others = self.streams.values() if stream is legacy else [legacy]
            for other in tuple(others) if stream.blocking else ():
                if other is not stream and other.blocking:
                    self.run(other, sum(n < number for n, _ in other.queue))
            stream.done += 1
            work()

    def finish(self) -> None:
        """Run all that was enqueued on any stream."""
        for stream in tuple(self.streams.values()):
            self.run(stream, len(stream.queue))

    def _cuStreamCreate(self, flags):
        handle = next(self._numbers)
        self.streams[handle] = Stream(self.stack[-1], not flags)
        return OK, real.CUstream(handle)

    def _cuStreamDestroy(self, stream):
        return OK if self.streams.pop(int(stream), None) else R.CUDA_ERROR_INVALID_HANDLE

    def _cuStreamGetCtx(self, stream):
        return OK, real.CUcontext(self.streams[int(stream)].context or self.stack[-1])

    def _cuEventCreate(self, flags):
        handle = next(self._numbers)
        self.events[handle] = None
        return OK, real.CUevent(handle)

    def _cuEventDestroy(self, event):
        del self.events[int(event)]
        return OK

    def _cuEventRecord(self, event, stream):
        error = self.enqueue(int(stream), lambda: None)
        if error == OK:
            found = self.streams[int(stream) or LEGACY]
            self.events[int(event)] = (found, len(found.queue))
        return error

    def _cuStreamWaitEvent(self, stream, event, flags):
        reached = self.events[int(event)]
        if reached is None:
            return OK
        return self.enqueue(int(stream), lambda: self.run(*reached))

    def _cuEventSynchronize(self, event):
        error = self._forbidden()
        if error is not None:
            return error
        if self.events[int(event)] is not None:
            self.run(*self.events[int(event)])
        return R.CUDA_ERROR_ILLEGAL_ADDRESS if self.faults else OK

    # --- graphs -------------------------------------------------------------------------------

    def _cuStreamBeginCapture(self, stream, mode):
        if int(stream) in (0, LEGACY):
            return R.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        found = self.streams[int(stream)]
        found.recording, found.spoilt, found.thread = [], False, threading.get_ident()
        found.all = mode == real.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL
        return OK

    def _cuStreamEndCapture(self, stream):
        found = self.streams[int(stream)]
        work, found.recording = found.recording, None
        if found.spoilt:
            return R.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, None
        return self._keep(work)

    def _keep(self, work):
        handle = next(self._numbers)
        self.graphs[handle] = work
        return OK, handle

    def _cuGraphInstantiate(self, graph, flags):
        return self._keep(self.graphs[graph])

    def _cuGraphDestroy(self, graph):
        del self.graphs[graph]
        return OK

    _cuGraphExecDestroy = _cuGraphDestroy

    def _cuGraphLaunch(self, graph, stream):
        work = [start() for start in self.graphs[graph]]
        return self.enqueue(int(stream), lambda: [piece() for piece in work])
