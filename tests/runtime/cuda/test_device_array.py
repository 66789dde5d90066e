"""Arrays of other libraries go through the engine without a copy, ordered by their streams."""

from __future__ import annotations

import ctypes
import gc
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cuda.bindings import driver as real
from fake_tensorrt import fake_manifest
from toy_models import SIZE

from lc_trt.errors import UsageError
from lc_trt.runtime.cuda import dlpack
from lc_trt.runtime.cuda.device_array import stream_handle
from lc_trt.runtime.cuda.driver import Gpu
from lc_trt.runtime.segmenter import Segmenter

RHO = np.array([0.9, 0.8], np.float32)


def noise(seed=0, n=1):
    return np.random.default_rng(seed).integers(0, 256, (n, *SIZE, 3), np.uint8)


class Foreign:
    """An array of another library, written by a stream that has not come to it yet."""

    def __init__(self, driver, value, stream=1, context=1000, skip=0, on_host=False):
        self.driver, self.stream, self.value = driver, stream, value
        driver.stack.append(context)
        allocate = driver.cuMemHostAlloc if on_host else driver.cuMemAlloc
        arguments = (value.nbytes + skip, 0) if on_host else (value.nbytes + skip,)
        self.base = int(allocate(*arguments)[1])
        self.address = self.base + skip
        driver.stack.pop()
        self.context = context
        self.write(value)

    def write(self, value):
        """Enqueue it on the array's own stream."""
        value = np.ascontiguousarray(value)

        def work():
            ctypes.memmove(self.address, value.ctypes.data, value.nbytes)

        self.driver.stack.append(self.context)
        assert self.driver.enqueue(self.stream, work) == 0
        self.driver.stack.pop()

    def free(self):
        self.driver.finish()
        self.driver.memory.pop(self.base)


class WithInterface(Foreign):
    version, named, strides, mask = 3, True, None, None

    @property
    def __cuda_array_interface__(self):
        facts = {
            "shape": self.value.shape, "typestr": self.value.dtype.str,
            "data": (self.address, False), "version": self.version, "strides": self.strides,
        }  # fmt: skip
        if self.mask is not None:
            facts["mask"] = self.mask
        return {**facts, "stream": self.stream} if self.named else facts


class OfVersion2(WithInterface):
    """It names no stream, and nobody says that there is nothing to wait for."""

    version, named = 2, False


class WithDLPack(Foreign):
    asked = None

    def __dlpack_device__(self):
        return dlpack.CUDA, self.driver.contexts[self.context]

    def __dlpack__(self, *, stream=None, max_version=None):
        self.asked = stream
        self.driver.stack.append(self.context)
        event = self.driver.cuEventCreate(2)[1]
        self.driver.cuEventRecord(event, self.stream)
        self.driver.cuStreamWaitEvent(stream, event, 0)
        self.driver.cuEventDestroy(event)
        self.driver.stack.pop()
        return dlpack.make_capsule(
            self, self.address, self.value.shape, self.value.dtype, self.__dlpack_device__(),
            max_version is not None,
        )  # fmt: skip


class OldDLPack(WithDLPack):
    """From before there were versions."""

    def __dlpack__(self, *, stream=None):
        return super().__dlpack__(stream=stream)


KINDS = [WithInterface, OfVersion2, WithDLPack, OldDLPack]


@pytest.fixture
def streams(driver):
    """Streams of the caller, in the GPU's primary context: two that block, one that does not."""
    driver.stack.append(1000)
    made = [int(driver.cuStreamCreate(flag)[1]) for flag in (0, 0, 1)]
    driver.stack.pop()
    yield made
    driver.finish()
    for stream in made:
        del driver.streams[stream]


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_is_read_where_it_is_once_its_stream_has_written_it(load, driver, streams, kind):
    engine, host = load(), load()
    array, rho = kind(driver, noise(), streams[0]), kind(driver, RHO, streams[1])
    for seed in range(4):
        array.write(noise(seed))
        uploads = driver.calls.count("cuMemcpyHtoDAsync")
        found = engine.run(array, rho)
        assert driver.calls.count("cuMemcpyHtoDAsync") == uploads
        expected = host.run(noise(seed), RHO)
        assert np.array_equal(found.labels, expected.labels)
        assert np.array_equal(found.stages, expected.stages)
        assert np.array_equal(found.confidence, expected.confidence)
    assert driver.calls.count("cuGraphLaunch") >= 3  # the same address: replayed
    array.free()
    rho.free()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [0, 2, "default"])
def test_a_pass_on_the_callers_stream_is_in_its_order(load, driver, streams, kind, own):
    engine, host = load(), load()
    stream = 0 if own == "default" else streams[own]
    array = kind(driver, noise(), streams[1])
    for seed in range(3):
        array.write(noise(seed))
        found = engine.run_device(array, RHO, stream=stream)
        launched = driver.calls.count("cuEventSynchronize")
        assert found.labels.stream == (stream or 1)
        labels = found.labels.numpy()
        assert driver.calls.count("cuEventSynchronize") == launched + 1
        assert np.array_equal(labels, host.run(noise(seed), RHO).labels)
    array.free()


def test_a_pass_on_a_stream_returns_before_it_is_done(load, driver, streams):
    engine, host = load(), load()
    found = engine.run_device(noise(), RHO, stream=streams[0])
    raw = (ctypes.c_uint8 * 8).from_address(found.labels.address)
    assert bytes(raw) == b"\xee" * 8  # nothing has run
    driver.finish()
    assert np.array_equal(found.labels.numpy(), host.run(noise(), RHO).labels)


def test_without_a_stream_a_pass_is_done_and_names_none(load):
    engine, host = load(), load()
    found = engine.run_device(noise(), RHO)
    assert found.labels.stream is None and found.stages.stream is None
    expected = host.run(noise(), RHO)
    for name in ("labels", "stages", "confidence"):
        assert np.array_equal(getattr(found, name).numpy(), getattr(expected, name))
    dense = load("dense").run_device(noise())
    assert dense.stages is None and dense.confidence.dtype == np.float32


def test_a_named_producer_may_write_again_at_once(load, driver, streams):
    engine, host = load(), load()
    array = WithInterface(driver, noise(), streams[0])
    found = engine.run_device(array, RHO, stream=streams[2])
    array.write(noise(9))  # its stream waits until the pass has read what was there
    driver.run(driver.streams[streams[0]], len(driver.streams[streams[0]].queue))
    assert np.array_equal(found.labels.numpy(), host.run(noise(), RHO).labels)
    array.free()


def test_numpy_may_be_changed_when_a_pass_on_a_stream_returns(load, streams):
    engine, host = load(), load()
    image = noise()
    found = engine.run_device(image, RHO, stream=streams[0])
    image[:] = 0
    assert np.array_equal(found.labels.numpy(), host.run(noise(), RHO).labels)


def test_a_pass_waits_for_the_one_before_on_another_stream(load, driver, streams):
    engine = load()
    for seed, stream in enumerate([streams[0], streams[2], None, streams[1]]):
        engine.run_device(noise(seed), RHO, stream=stream)
    driver.finish()
    assert driver.faults == []


def test_an_input_lives_until_the_pass_has_read_it(load, driver, streams):
    engine = load()
    array = WithDLPack(driver, noise(), streams[0])
    users = sys.getrefcount(array)
    engine.run_device(array, RHO, stream=streams[1])
    assert sys.getrefcount(array) > users
    engine.run_device(noise(), RHO, stream=streams[1])
    assert sys.getrefcount(array) == users
    array.free()


def test_other_addresses_are_not_replayed_with_the_old_ones(load, driver, streams):
    engine, host = load(), load()
    arrays = [WithInterface(driver, noise(seed), streams[0]) for seed in range(2)]
    for turn in range(6):
        found = engine.run(arrays[turn // 3 % 2], RHO)
        assert np.array_equal(found.labels, host.run(noise(turn // 3 % 2), RHO).labels)
    for turn in range(4):  # in turns: never the same twice
        engine.run(arrays[turn % 2], RHO)
    assert driver.calls.count("cuStreamBeginCapture") == 2 + 1  # and that of `host`
    for array in arrays:
        array.free()


# --- outputs --------------------------------------------------------------------------------------


def test_an_output_tells_another_stream_to_wait(load, driver, streams):
    engine, host = load(), load()
    found = engine.run_device(noise(), RHO, stream=streams[2])
    facts = found.labels.__cuda_array_interface__
    assert facts == {
        "shape": (1, *SIZE), "typestr": "|u1", "data": (found.labels.address, False),
        "strides": None, "stream": streams[2], "version": 3,
    }  # fmt: skip
    assert found.labels.__dlpack_device__() == (dlpack.CUDA, 0)
    capsule = found.labels.__dlpack__(stream=streams[0])
    copied = np.zeros(found.labels.shape, np.uint8)
    driver.stack.append(1000)
    driver.enqueue(
        streams[0], lambda: ctypes.memmove(copied.ctypes.data, found.labels.address, copied.size)
    )
    driver.stack.pop()
    driver.run(driver.streams[streams[0]], len(driver.streams[streams[0]].queue))
    assert np.array_equal(copied, host.run(noise(), RHO).labels)
    described = dlpack.describe(capsule)
    assert (described.address, described.shape) == (found.labels.address, (1, *SIZE))


def test_an_output_waits_for_nobody_where_it_was_told_not_to(load, driver, streams):
    found = load().run_device(noise(), RHO, stream=streams[2])
    waits = driver.calls.count("cuStreamWaitEvent")
    found.labels.__dlpack__(stream=-1)
    found.labels.__dlpack__(stream=streams[2])
    assert driver.calls.count("cuStreamWaitEvent") == waits
    found.labels.__dlpack__()  # the default stream, by the standard
    assert driver.calls.count("cuStreamWaitEvent") == waits + 1
    with pytest.raises(ValueError, match="stream 0"):
        found.labels.__dlpack__(stream=0)
    with pytest.raises(BufferError, match="not as a copy"):
        found.labels.__dlpack__(copy=True)
    with pytest.raises(BufferError):
        found.labels.__dlpack__(dl_device=(dlpack.CPU, 0))
    driver.finish()


def test_an_outputs_memory_outlives_its_engine(load, driver):
    engine, host = load(), load()
    found = engine.run_device(noise(), RHO)
    capsule = found.confidence.__dlpack__()
    engine.close()
    host_labels = host.run(noise(), RHO).labels
    assert np.array_equal(found.labels.numpy(), host_labels)
    address = found.confidence.address
    del found
    assert driver.find(address) is not None
    del capsule
    gc.collect()
    assert driver.find(address) is None


def test_the_next_pass_writes_to_the_same_place(load):
    engine = load()
    first = engine.run_device(noise(0), RHO)
    second = engine.run_device(noise(1), RHO)
    assert first.labels.address == second.labels.address
    assert np.array_equal(first.labels.numpy(), second.labels.numpy())


# --- what is refused ------------------------------------------------------------------------------


def refused(engine, array, match, stream=None):
    with pytest.raises(UsageError, match=match) as caught:
        engine.run(array, RHO, stream=stream)
    assert "\n" not in str(caught.value)
    array.free()


def test_what_is_not_contiguous_or_aligned_is_refused(load, driver):
    engine = load()
    array = WithInterface(driver, noise())
    array.strides = (1, 2, 3, 4)
    refused(engine, array, "image has strides")
    array = WithInterface(driver, noise())
    array.strides = array.value.strides  # given, and contiguous
    engine.run(array, RHO)
    array.free()
    refused(engine, WithInterface(driver, noise(), skip=64), "no multiple of 256 bytes")
    array = WithInterface(driver, noise())
    array.mask = object()
    refused(engine, array, "masked")


def test_what_lies_elsewhere_is_refused(load, driver):
    engine = load()
    refused(engine, WithInterface(driver, noise(), context=1001), "image is on cuda:1, the engine")
    refused(engine, WithDLPack(driver, noise(), context=1001), "image is on cuda:1, the engine")
    other = driver.new_context()
    refused(engine, WithInterface(driver, noise(), context=other), "another CUDA context")
    array = WithInterface(driver, noise())
    array.free()
    with pytest.raises(UsageError, match="image is no memory of a GPU"):
        engine.run(array, RHO)


def test_a_stream_that_may_be_two_is_refused(load, driver):
    array = WithInterface(driver, noise())
    array.stream = 0
    refused(load(), array, "names stream 0")


@pytest.mark.parametrize("kind", KINDS)
def test_another_shape_or_type_is_refused(load, driver, kind):
    engine = load()
    for value in (noise(n=2), noise().astype(np.float32)):
        array = kind(driver, value)
        with pytest.raises(ValueError, match="expected uint8"):
            engine.run(array, RHO)
        array.free()
    with pytest.raises(ValueError, match="image is a list, expected an array"):
        engine.run([1], RHO)


def test_arrays_of_torch_on_the_cpu_go_in_as_numpys_do(load):
    import torch

    engine, image = load(), noise()
    found = engine.run(torch.from_numpy(image), torch.from_numpy(RHO))
    assert np.array_equal(found.labels, engine.run(image, RHO).labels)


def test_streams_of_other_libraries(driver, streams):
    gpu, handle = Gpu.open(), streams[0]
    for stream in (
        handle,
        SimpleNamespace(cuda_stream=handle),  # torch
        SimpleNamespace(ptr=handle),  # cupy
        SimpleNamespace(handle=handle),  # pycuda
        SimpleNamespace(__cuda_stream__=lambda: (0, handle)),  # cuda.core
    ):
        assert stream_handle(stream, gpu) == handle
    assert stream_handle(0, gpu) == stream_handle(1, gpu) == 1
    with pytest.raises(UsageError, match="stream is a str"):
        stream_handle("0", gpu)
    driver.streams[streams[0]].context = driver.new_context()
    with pytest.raises(UsageError, match="stream belongs to another CUDA context"):
        stream_handle(handle, gpu)


def test_a_segmenter_leaves_results_on_the_gpu(load, streams):
    segmenter = Segmenter(load(), fake_manifest())
    found = segmenter.run_device(noise(), "fast", stream=streams[0])
    expected = segmenter.engine.run(noise(), np.array(segmenter.manifest.fast_rho, np.float32))
    assert found.labels.stream == streams[0]
    assert np.array_equal(found.stages.numpy(), expected.stages)


def test_cuda_python_takes_what_its_functions_are_given(load, driver, streams):
    """It converts arguments before it looks for the driver, and there is none here."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("there is a driver here, which would run these calls")
    engine = load()
    array = WithInterface(driver, noise(), streams[0])
    for _ in range(3):
        engine.run(noise(), RHO)
        engine.run_device(array, RHO, stream=streams[1]).labels.numpy()
    engine.run_device(array, RHO).confidence.__dlpack__(stream=-1)
    engine.close()
    array.free()
    assert len(driver.arguments) > 30
    for name, arguments in driver.arguments.items():
        if name != "cuGetErrorString":
            with pytest.raises(RuntimeError, match="driver"):
                getattr(real, name)(*arguments)
