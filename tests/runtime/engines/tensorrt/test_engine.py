"""The engine of TensorRT on a fake GPU, which computes the toy network and runs nothing early."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from fake_passes import RHO, assert_same, in_threads, noise
from fake_tensorrt import fake_manifest, fake_plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_models import SIZE, bgr, toy_manifest

from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.tensorrt.engine import open_plan
from lc_trt.runtime.segmenter import Segmenter

DYNAMIC = ((1, 16, 24), (2, *SIZE), (4, 64, 80))


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


# --- threads --------------------------------------------------------------------------------------


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


def test_an_error_that_is_kept_keeps_nothing_of_tensorrt(load, trt):
    engine = load(failing=True)
    with pytest.raises(LcTrtError) as kept:
        engine.run(noise(), RHO)
    engine.close()
    del kept
    assert trt.cuda.faults == []


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
