"""Execution contexts: recorded graphs, and what goes wrong in a pass; on a fake GPU."""

from __future__ import annotations

import gc
import logging

import pytest
from fake_passes import RHO, assert_same, noise
from toy_models import SIZE

from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.tensorrt.execution_context import ask

DYNAMIC = ((1, 16, 24), (2, *SIZE), (4, 64, 80))


def count(driver, name):
    return driver.calls.count(name)


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


def test_what_tensorrt_logged_is_in_the_error(load):
    with pytest.raises(LcTrtError, match=r"could not run the engine: Error Code 1: Cuda Runtime"):
        load(failing=True).run(noise(), RHO)
    with pytest.raises(LcTrtError, match=r"execution context: .*no memory for the context"):
        load(no_memory=True).run(noise(), RHO)
    with pytest.raises(LcTrtError, match="shape of labels depends on the data"):
        load(data_dependent=True).run(noise(), RHO)


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


def test_an_answer_that_is_a_failure_is_an_error_with_what_was_logged(trt):
    api = trt.facade()
    assert ask(api, "it failed", lambda *given: given, 1, 2) == (1, 2)
    assert ask(api, "it failed", lambda: 0) == 0, "zero is an answer"
    with pytest.raises(LcTrtError, match=r"^it failed: out of luck$"):
        ask(api, "it failed", trt.refuse, "out of luck")
    with pytest.raises(LcTrtError, match=r"^it failed: it gave no reason$"):
        ask(api, "it failed", lambda: None)
