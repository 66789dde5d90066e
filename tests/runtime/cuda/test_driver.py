"""CUDA's driver behind objects that free themselves, on a fake one with two GPUs."""

from __future__ import annotations

import gc
import logging

import numpy as np
import pytest
from fake_cuda import FakeCuda
from fake_passes import in_threads

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.cuda import driver as layer
from lc_trt.runtime.cuda.driver import (
    CudaError,
    DeviceMemory,
    Event,
    Gpu,
    Graph,
    PinnedMemory,
    Stream,
    capabilities,
    check,
    download,
    download_now,
    gpu_count,
    memory_context,
    memory_ordinal,
    stream_context,
    upload,
)


def test_a_call_gives_its_value_or_an_error_that_says_which_failed(driver):
    success, out_of_memory = driver.CUresult(0), driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY
    assert check((success, 7), "count") == 7 and check((success,), "start") is None
    with pytest.raises(CudaError) as caught:
        check((out_of_memory, None), "allocate")
    reason = "cuda_error_out_of_memory (CUDA_ERROR_OUT_OF_MEMORY)"
    assert str(caught.value) == f"CUDA could not allocate: {reason}"


def test_the_gpu_is_that_of_the_name_or_of_the_current_context(driver):
    assert gpu_count() == 2 and capabilities() == [(8, 9), (8, 6)]
    for device, ordinal in ((None, 0), ("cuda", 0), ("cuda:1", 1)):
        gpu = Gpu.open(device)
        assert (gpu.ordinal, gpu.context) == (ordinal, 1000 + ordinal)
        assert (gpu.name, gpu.capability) == (("Fake 1", (8, 9)), ("Fake 2", (8, 6)))[ordinal]
        assert driver.primary[ordinal] == 1
        del gpu
        assert driver.primary[ordinal] == 0, "let go of with the last reference"
    mine = driver.new_context(1)
    driver.stack.append(mine)
    for device in (None, "cuda", "cuda:1"):
        assert Gpu.open(device).context == mine
    assert Gpu.open("cuda:0").context == 1000
    driver.stack.pop()
    with pytest.raises(UsageError, match="device cuda:2: expected cuda:0 to cuda:1"):
        Gpu.open("cuda:2")


def test_the_callers_context_is_current_again_also_after_an_error(driver):
    gpu, mine = Gpu.open("cuda:1"), driver.new_context(0)
    driver.stack.append(mine)
    with pytest.raises(ZeroDivisionError), gpu.current():
        assert driver.stack == [mine, gpu.context]
        raise ZeroDivisionError
    assert driver.stack.pop() == mine


def test_bytes_go_to_the_gpu_and_back_in_the_order_of_a_stream(driver):
    gpu = Gpu.open("cuda:1")
    there, back = PinnedMemory(gpu, 256), PinnedMemory(gpu, 256)
    memory, stream, event = DeviceMemory(gpu, 300), Stream(gpu), Event(gpu)
    assert memory.address % 256 == 0 and len(there.array) == 256
    there.array[:] = np.arange(256)
    with gpu.current():
        upload(memory.address, there, 256, stream.handle)
        download(back, memory.address, 256, stream.handle)
        event.record(stream.handle)
        assert not np.array_equal(back.array, there.array), "nobody has waited yet"
        event.synchronise()
        np.testing.assert_array_equal(back.array, there.array)
        host = np.zeros(4, np.uint8)
        download_now(host, memory.address + 8)
        assert host.tolist() == [8, 9, 10, 11]
        assert stream_context(stream.handle) == gpu.context
    assert memory_ordinal(memory.address + 299) == 1
    assert memory_context(memory.address) == gpu.context
    assert memory_context(0) is None
    with pytest.raises(CudaError, match="could not find the memory"):
        memory_ordinal(0)


def test_memory_goes_with_its_last_user_and_before_its_gpu(driver):
    gpu = Gpu.open()
    used = [DeviceMemory(gpu, 16), PinnedMemory(gpu, 16), Stream(gpu), Event(gpu)]
    del gpu
    assert driver.primary == {0: 1} and not driver.idle
    used.clear()
    gc.collect()
    assert driver.idle


def test_what_cannot_be_freed_is_a_warning(driver, caplog):
    gpu = Gpu.open()
    memory = DeviceMemory(gpu, 16)
    address = memory.address
    driver.fail["cuMemFree"] = driver.CUresult.CUDA_ERROR_CONTEXT_IS_DESTROYED
    with caplog.at_level(logging.WARNING, "lc_trt"):
        del memory
    assert "CUDA could not free GPU memory" in caplog.text
    assert "was the CUDA context closed before the engine?" in caplog.text
    del driver.memory[address]


def test_a_graph_runs_nothing_until_it_is_launched(driver):
    gpu, calls = Gpu.open(), []
    stream = Stream(gpu)

    def work():
        driver.enqueue(stream.handle, lambda: calls.append("pass"))

    with gpu.current():
        graph = Graph(gpu, stream.handle, work)
        driver.finish()
        assert calls == []
        for _ in range(2):
            graph.launch(stream.handle)
        driver.finish()
    assert calls == ["pass", "pass"]


def test_work_that_fails_ends_the_recording_and_leaves_no_graph(driver):
    gpu = Gpu.open()
    stream = Stream(gpu)
    with gpu.current(), pytest.raises(ZeroDivisionError):
        Graph(gpu, stream.handle, lambda: 1 / 0)
    assert driver.streams[stream.handle].recording is None and not driver.graphs


def test_another_thread_may_allocate_while_a_graph_is_recorded(driver):
    gpu = Gpu.open()
    stream = Stream(gpu)
    made = []

    def allocate(index):
        made.append(DeviceMemory(gpu, 256))

    with gpu.current():
        Graph(gpu, stream.handle, lambda: in_threads(1, allocate))
        with pytest.raises(LcTrtError, match="STREAM_CAPTURE_UNSUPPORTED"):
            Graph(gpu, stream.handle, lambda: allocate(0))
    assert len(made) == 1


def test_without_a_driver_or_a_gpu_it_says_what_to_do(driver, monkeypatch):
    driver.gpus = ()
    with pytest.raises(LcTrtError, match=r"no NVIDIA GPU is visible here; .*--backend openvino"):
        gpu_count()
    driver.fail["cuInit"] = driver.CUresult.CUDA_ERROR_NO_DEVICE
    with pytest.raises(LcTrtError, match=r"CUDA could not start: .*NO_DEVICE.*--backend openvino"):
        gpu_count()

    class Missing(FakeCuda):
        def _cuInit(self, flags):
            raise RuntimeError("libcuda was not found")  # as cuda-python does

    monkeypatch.setattr(layer, "cuda", Missing())
    with pytest.raises(LcTrtError, match="no NVIDIA driver here; install NVIDIA's driver"):
        Gpu.open()
