"""A fake driver and a fake TensorRT under the GPU's engine."""

from fake_gpu import driver, load, toolchain, trt

__all__ = ["driver", "load", "toolchain", "trt"]
