"""The engine of TensorRT on a fake GPU, which computes the toy network and runs nothing early."""

from __future__ import annotations

import functools
import gc
import logging
import threading

import numpy as np
import pytest
from fake_tensorrt import fake_manifest, fake_plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_models import SIZE, bgr, toy_manifest, toy_model

from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError
from lc_trt.runtime.cuda.driver import DeviceMemory, Gpu, Graph, Stream
from lc_trt.runtime.engines.tensorrt.engine import open_plan
from lc_trt.runtime.segmenter import Segmenter

RHO = np.array([0.9, 0.8], np.float32)
DYNAMIC = ((1, 16, 24), (2, *SIZE), (4, 64, 80))


def noise(shape=(1, *SIZE), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


@functools.cache
def onnx_runtime(kind, n, h, w):
    return open_onnx("onnxruntime", toy_model(kind, (h, w), n), threads=1)


def reference(image, rho=RHO):
    kind = "dense" if rho is None else "cascade"
    return onnx_runtime(kind, *image.shape[:3]).run(image, rho)


def assert_same(found, image, rho=RHO):
    expected = reference(image, rho)
    for name in ("labels", "stages", "confidence"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        if theirs is None:
            assert ours is None
            continue
        ours = ours if isinstance(ours, np.ndarray) else ours.numpy()
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def count(driver, name):
    return driver.calls.count(name)


def test_numpy_in_numpy_out_equals_onnx_runtime(load):
    engine = load()
    assert (engine.backend, engine.kind, engine.size, engine.batch) == (
        "tensorrt", "cascade", SIZE, 1
    )  # fmt: skip
    for seed in range(4):
        image = noise(seed=seed)
        assert_same(engine.run(image, RHO), image)


def test_a_dense_plan_takes_no_rho(load):
    engine = load("dense")
    image = noise()
    assert_same(engine.run(image), image, None)
    assert engine.run(image).stages is None
    with pytest.raises(ValueError, match="takes none"):
        engine.run(image, RHO)
    with pytest.raises(ValueError, match="rho none: a cascade needs it"):
        load().run(image)


def test_outputs_are_the_callers_to_keep(load):
    engine = load()
    first, image = engine.run(noise(), RHO), noise()
    for seed in (1, 2, 3):
        engine.run(noise(seed=seed), RHO)
    assert_same(first, image)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shapes=st.lists(
        st.tuples(
            st.sampled_from([(1, 16, 24), (1, *SIZE), (2, *SIZE), (3, 17, 33), (4, 64, 80)]),
            st.integers(1, 3),
        ),
        max_size=6,
    )
)
def test_any_shape_of_the_profile_in_any_order(load, shapes):
    engine = load("cascade", *DYNAMIC)
    for number, (shape, times) in enumerate(shapes):
        image = noise(shape, number)
        for _ in range(times):
            assert_same(engine.run(image, RHO), image)
    engine.close()


def test_a_profile_bounds_shapes_and_its_optimum_is_the_engines_size(load):
    engine = load("cascade", *DYNAMIC)
    assert (engine.size, engine.batch) == (SIZE, 2)
    assert (engine.smallest, engine.largest) == ((1, 16, 24, 3), (4, 64, 80, 3))
    for shape in ((5, *SIZE), (1, 15, 24), (1, 16, 81)):
        with pytest.raises(ValueError, match=r"expected uint8 \(1, 16, 24, 3\) to \(4, 64, 80, 3"):
            engine.run(noise(shape), RHO)
    with pytest.raises(ValueError, match=r"image float32 .* expected uint8"):
        engine.run(noise((1, *SIZE)).astype(np.float32), RHO)


def test_a_segmenter_pads_only_to_what_the_profile_needs(load, driver):
    manifest = toy_manifest(batch=2, backend="tensorrt")
    seen = []
    segmenter = Segmenter(load("cascade", *DYNAMIC), manifest)
    run = segmenter.engine.run
    segmenter.engine.run = lambda image, rho: seen.append(len(image)) or run(image, rho)
    assert len(segmenter.batch([bgr(9, 9, 9)] * 5)) == 5
    assert seen == [2, 2, 1]


# --- CUDA graphs ----------------------------------------------------------------------------------


def test_the_second_pass_of_a_shape_is_recorded_and_later_ones_replayed(load, driver):
    engine = load("cascade", *DYNAMIC)
    for expected in (0, 1, 2, 3):  # launches so far
        engine.run(noise(), RHO)
        assert count(driver, "cuGraphLaunch") == expected
    assert count(driver, "cuStreamBeginCapture") == 1
    engine.run(noise((2, *SIZE)), RHO)
    assert count(driver, "cuGraphLaunch") == 3
    image = noise((2, *SIZE), 5)
    assert_same(engine.run(image, RHO), image)
    assert (count(driver, "cuGraphLaunch"), count(driver, "cuStreamBeginCapture")) == (4, 2)
    gc.collect()
    assert len(driver.graphs) == 1  # the one of the first shape is gone


def test_an_engine_that_cannot_be_recorded_runs_on_and_says_why_once(load, driver, caplog):
    engine = load(not_capturable=True)
    with caplog.at_level(logging.WARNING, "lc_trt"):
        for seed in range(5):
            assert_same(engine.run(noise(seed=seed), RHO), noise(seed=seed))
    assert count(driver, "cuStreamBeginCapture") == 1 and count(driver, "cuGraphLaunch") == 0
    (record,) = caplog.records
    assert "no CUDA graph" in record.message
    assert "operation not permitted when stream is capturing" in record.message


def test_a_graph_that_cannot_be_instantiated_is_done_without(load, driver, caplog):
    engine = load()
    driver.fail["cuGraphInstantiate"] = driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY
    for seed in range(3):
        assert_same(engine.run(noise(seed=seed), RHO), noise(seed=seed))
    assert "CUDA could not instantiate a graph" in caplog.text


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


# --- threads --------------------------------------------------------------------------------------


def in_threads(number, work):
    errors = []

    def run(index):
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_each_thread_has_its_own_context_stream_and_graph(load, driver):
    engine = load()
    inside = threading.Barrier(3)

    def work(index):
        inside.wait(10)
        for seed in range(5):
            image = noise(seed=10 * index + seed)
            assert_same(engine.run(image, RHO), image)
        inside.wait(10)

    in_threads(3, work)
    assert count(driver, "cuStreamCreate") == count(driver, "cuStreamBeginCapture") == 3


def test_what_a_thread_used_goes_with_it(load, driver):
    engine = load()
    in_threads(2, lambda index: engine.run(noise(), RHO))
    gc.collect()
    assert not driver.memory and list(driver.streams) == [1]
    assert_same(engine.run(noise(), RHO), noise())


def test_close_waits_for_the_passes_of_other_threads(load, trt):
    engine = load()
    inside, go_on = threading.Event(), threading.Event()
    enqueue = trt.cuda.enqueue

    def slow(*arguments):
        inside.set()
        go_on.wait(10)
        return enqueue(*arguments)

    trt.cuda.enqueue = slow
    runner = threading.Thread(target=lambda: engine.run(noise(), RHO))
    closer = threading.Thread(target=engine.close)
    runner.start()
    assert inside.wait(10)
    closer.start()
    closer.join(0.2)
    assert closer.is_alive()
    go_on.set()
    runner.join(10)
    closer.join(10)
    assert not closer.is_alive()
    with pytest.raises(LcTrtError, match="closed"):
        engine.run(noise(), RHO)


# --- errors ---------------------------------------------------------------------------------------


def test_what_tensorrt_logged_is_in_the_error(load):
    with pytest.raises(LcTrtError, match=r"could not run the engine: Error Code 1: Cuda Runtime"):
        load(failing=True).run(noise(), RHO)
    with pytest.raises(LcTrtError, match=r"execution context: .*no memory for the context"):
        load(no_memory=True).run(noise(), RHO)
    with pytest.raises(LcTrtError, match="shape of labels depends on the data"):
        load(data_dependent=True).run(noise(), RHO)


def test_an_error_that_is_kept_keeps_nothing_of_tensorrt(load, trt):
    engine = load(failing=True)
    with pytest.raises(LcTrtError) as kept:
        engine.run(noise(), RHO)
    engine.close()
    del kept
    assert trt.cuda.faults == []


def test_what_cuda_refused_is_in_the_error_and_the_next_pass_runs(load, driver):
    engine = load()
    driver.fail["cuMemAlloc"] = driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(LcTrtError, match=r"allocate \d+ bytes on GPU 0: .*OUT_OF_MEMORY") as caught:
        engine.run(noise(), RHO)
    assert "\n" not in str(caught.value)
    driver.fail.clear()
    driver.fail["cuMemcpyDtoHAsync"] = driver.CUresult.CUDA_ERROR_LAUNCH_FAILED
    with pytest.raises(LcTrtError, match="copy from the GPU"):
        engine.run(noise(), RHO)
    driver.fail.clear()
    assert_same(engine.run(noise(), RHO), noise())


def test_an_engine_that_was_never_closed_frees_itself(trt):
    engine = open_plan(
        fake_plan(),
        trt.facade(),
        build=fake_manifest().tensorrt,
        built_on=None,
        plugin=None,
        library=None,
        device=None,
    )
    engine.run(noise(), RHO)
    del engine
    gc.collect()
    assert not trt.cuda.memory and trt.cuda.primary == {0: 0}
