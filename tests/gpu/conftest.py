"""Builds the harness for the GPU at hand, which takes nvcc and CMake and no TensorRT."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from plugin_harness import Harness


@pytest.fixture(scope="session")
def harness_path(repository: Path) -> Path:
    """build/harness, or LC_TRT_HARNESS, for example a debug build."""
    if "LC_TRT_HARNESS" in os.environ:
        return Path(os.environ["LC_TRT_HARNESS"])
    subprocess.run(
        ["cmake", "--workflow", "--preset", "harness"], cwd=repository / "plugins", check=True
    )
    return repository / "build" / "harness" / "liblc_trt_harness.so"


@pytest.fixture(scope="session")
def gpu(harness_path: Path) -> Harness:
    """Kernels on the GPU."""
    return Harness(harness_path)


@pytest.fixture(scope="session")
def gpu_plugins(gpu: Harness, harness_path: Path) -> Harness:
    """Plugin objects on the GPU, if TensorRT's headers were found when compiling."""
    if not gpu.has_plugins:
        pytest.skip("the harness was built without TensorRT's headers: set TENSORRT_ROOT")
    gpu.open_plugins(harness_path)
    return gpu
