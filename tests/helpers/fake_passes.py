"""Passes of the fake TensorRT beside ONNX Runtime on the same toy network, also in threads."""

from __future__ import annotations

import functools
import threading

import numpy as np
from toy_models import SIZE, toy_model

from lc_trt.backends.load import open_onnx

RHO = np.array([0.9, 0.8], np.float32)


def noise(shape=(1, *SIZE), seed=0):
    """Images uint8 [N, H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


@functools.cache
def onnx_runtime(kind, n, h, w):
    return open_onnx("onnxruntime", toy_model(kind, (h, w), n), threads=1)


def reference(image, rho=RHO):
    """ONNX Runtime's output; without thresholds, of the dense network."""
    kind = "dense" if rho is None else "cascade"
    return onnx_runtime(kind, *image.shape[:3]).run(image, rho)


def assert_same(found, image, rho=RHO):
    """Compare an output, on the host or on the GPU, with ONNX Runtime's."""
    expected = reference(image, rho)
    for name in ("labels", "stages", "confidence"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        if theirs is None:
            assert ours is None
            continue
        ours = ours if isinstance(ours, np.ndarray) else ours.numpy()
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def in_threads(number, work):
    """Call ``work`` with 0, 1, ... in one thread each, and raise the first error."""
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
