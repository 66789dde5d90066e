"""What this machine is."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lc_trt.utils import machine as environment

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.0GHz
flags\t\t: fpu avx2 avx512f amx_int8 sse
processor\t: 1
model name\t: Some CPU @ 2.0GHz
"""


def test_cpu_name_and_features() -> None:
    assert environment.cpu_name(CPUINFO) == "Some CPU @ 2.0GHz"
    assert environment.cpu_features(CPUINFO) == ("avx2", "avx512f", "amx_int8")
    assert environment.cpu_features("") == ()


def test_module_versions() -> None:
    assert environment.module_version("numpy") == np.__version__
    # The package of another name than its module.
    assert environment.module_version("cv2") == version("opencv-python-headless")
    assert environment.module_version("no_such_module") is None


def test_tools_that_are_missing_or_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = environment.describe()
    assert found.nvcc is None
    assert found.gpus == () and found.driver is None

    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho no driver\nexit 9\n")
    tool.chmod(0o755)
    assert environment.describe().gpus == ()


def test_tools_that_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, answer in (
        ("nvcc", "Cuda compilation tools, release 13.0, V13.0.48"),
        ("nvidia-smi", "Some GPU, 8.9, 8192 MiB"),
    ):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\necho '{answer}'\n")
        tool.chmod(0o755)
    found = environment.describe()
    assert found.nvcc == "13.0"
    assert found.gpus == ("Some GPU, 8.9, 8192 MiB",)
    assert found.driver == "Some GPU, 8.9, 8192 MiB"  # the tool of this test has one answer
    assert found.cores >= 1


def test_cuda_has_the_version_of_what_talks_to_the_driver() -> None:
    """Other packages share its name, with other versions."""
    assert environment.module_version("cuda") == version("cuda-bindings")


class FakeCuda:
    """The driver's library, with some GPUs or with none, and perhaps a context on one of them."""

    def __init__(self, gpus: int, current: int | None = None) -> None:
        self.gpus, self.current = gpus, current

    def cuInit(self, flags: int) -> int:
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0 if ordinal < self.gpus else 101

    def cuCtxGetDevice(self, device: Any) -> int:
        if self.current is None:
            return 201  # CUDA_ERROR_INVALID_CONTEXT
        device._obj.value = self.current
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"Some GPU" if device.value == 0 else b"Other GPU"
        return 0

    def cuDeviceGetAttribute(self, number: Any, attribute: int, device: Any) -> int:
        number._obj.value = {75: 8, 76: 9}[attribute]
        return 0


def test_the_gpu_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.ctypes, "CDLL", lambda name: FakeCuda(1))
    assert environment.current_gpu() == environment.Gpu("Some GPU", "8.9")
    monkeypatch.setattr(environment.ctypes, "CDLL", lambda name: FakeCuda(2, current=1))
    assert environment.current_gpu() == environment.Gpu("Other GPU", "8.9")
    monkeypatch.setattr(environment.ctypes, "CDLL", lambda name: FakeCuda(0))
    assert environment.current_gpu() is None

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(environment.ctypes, "CDLL", missing)
    assert environment.current_gpu() is None
