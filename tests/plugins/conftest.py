"""Builds what the tests of the plugins run: the emulator, and the library itself."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from plugin_harness import Harness
from rtx_plans import SIZE

from lc_trt.bundle.sections import Profile
from lc_trt.trt import api as trt
from lc_trt.trt.api import TensorRT
from lc_trt.trt.builder import Plan, build_plan
from lc_trt.trt.options import PlanOptions
from lc_trt.trt.plugin_build import compile_library, missing_parts

FIVE_MINUTES = 300  # seconds
NO_HEADERS = "TensorRT's headers were not found"


def build(repository: Path, folder: str, *options: str) -> Path:
    """Configure and build plugins/ in build/FOLDER, which is kept for the next run."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    # The emulator, too, takes CUDA's headers.
    tools = [
        t for t in ("cmake", "c++", "nvcc") if shutil.which(t, path=environment["PATH"]) is None
    ]
    if tools:
        pytest.skip(f"compiles plugins/, and there is no {', no '.join(tools)} here")
    out = repository / "build" / folder
    # The headers in the wheel are found by this Python.
    python = f"-DPYTHON={sys.executable}"
    for command in (
        ["cmake", "-S", repository / "plugins", "-B", out, python, *options],
        ["cmake", "--build", out, "--parallel", str(os.cpu_count() or 1)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if NO_HEADERS in done.stderr:
            pytest.skip(f"{NO_HEADERS}: pip install --no-deps kernel-lens==2.0.1")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        assert "warning" not in done.stderr.lower(), done.stderr
    return out


@pytest.fixture(scope="session")
def emulator_path(repository: Path) -> Path:
    """Kernels, harness and, where TensorRT's headers are, plugins for the CPU."""
    out = build(repository, "emulator", "-DLC_TRT_PLUGINS=OFF", "-DLC_TRT_EMULATOR=ON")
    return out / "liblc_trt_emulated.so"


@pytest.fixture(scope="session")
def emulator(emulator_path: Path) -> Harness:
    """The kernels on the CPU."""
    return Harness(emulator_path)


@pytest.fixture(scope="session")
def emulated_plugins(emulator: Harness, emulator_path: Path) -> Harness:
    """The plugin objects on the CPU."""
    if not emulator.has_plugins:
        pytest.skip(f"{NO_HEADERS}: pip install --no-deps kernel-lens==2.0.1")
    emulator.open_plugins(emulator_path)
    return emulator


@pytest.fixture(params=["ascending", "descending"])
def either_order(emulator: Harness, request: pytest.FixtureRequest) -> Iterator[Harness]:
    """The emulator, which takes threads in one order and in the other."""
    emulator.library.lct_emulator_order(int(request.param == "descending"))
    yield emulator
    emulator.library.lct_emulator_order(0)


@pytest.fixture
def unchecked(emulator: Harness) -> Iterator[Harness]:
    """The emulator without bounds checks, as a release build."""
    emulator.library.lct_emulator_checks(0)
    yield emulator
    emulator.library.lct_emulator_checks(1)


@pytest.fixture(scope="module")
def api() -> TensorRT:
    """TensorRT for RTX."""
    if "tensorrt_rtx" not in trt.PACKAGES or trt.installed() is None:
        pytest.skip("needs TensorRT for RTX: pip install tensorrt-rtx==1.7.1.116")
    return trt.load("tensorrt_rtx")


@pytest.fixture(scope="module", name="build")
def build_of_plans(api: TensorRT, plugin_library: Path) -> Callable[..., Plan]:
    """Builds a plan of a lowered model for compute capabilities; other options by name."""

    def run(model: onnx.ModelProto, *capabilities: str, **more: Any) -> Plan:
        options = {"plugin": plugin_library, "compute_capabilities": capabilities}
        monitor = more.pop("monitor", None)
        batch, size = more.pop("batch", Profile.of(1)), more.pop("size", Profile.of(SIZE))
        options = PlanOptions(**{**options, **more})
        return build_plan(api, model, options, batch=batch, size=size, gpu=None, monitor=monitor)

    return run


@pytest.fixture(scope="session")
def plugin_library(repository: Path) -> Path:
    """The plugin library, for all architectures, as ``lc-trt plugin build`` compiles it."""
    missing = missing_parts()
    if missing:
        pytest.skip(f"compiles plugins/: {'; '.join(missing.values())}")
    work = repository / "build" / "plugins"
    lines: list[str] = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    library = compile_library(work / "library", work, log=lines.append)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert not [line for line in lines if "warning" in line.lower()]
    # The compilers' own time: what the clock says depends on what else the machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < FIVE_MINUTES
    return library
