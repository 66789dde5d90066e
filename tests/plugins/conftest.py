"""Builds what the tests of the plugins run: the emulator, and the library itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_harness import Harness


def build(repository: Path, folder: str, *options: str) -> Path:
    """Configure and build plugins/ in build/FOLDER, which is kept for the next run."""
    missing = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
    if shutil.which("nvcc") is None:
        missing.append("nvcc")  # the emulator, too, takes CUDA's headers
    if missing:
        pytest.skip(f"compiles plugins/, and there is no {', no '.join(missing)} here")
    out = repository / "build" / folder
    # The headers in the wheel are found by this Python.
    python = f"-DPYTHON={sys.executable}"
    for command in (
        ["cmake", "-S", repository / "plugins", "-B", out, python, *options],
        ["cmake", "--build", out, "--parallel", str(os.cpu_count() or 1)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        assert "warning" not in done.stderr.lower(), done.stderr
    return out


@pytest.fixture(scope="session")
def emulator_path(repository: Path) -> Path:
    """Kernels, plugins and harness for the CPU."""
    out = build(repository, "emulator", "-DLC_TRT_PLUGINS=OFF", "-DLC_TRT_EMULATOR=ON")
    return out / "liblc_trt_emulated.so"


@pytest.fixture(scope="session")
def emulator(emulator_path: Path) -> Harness:
    """The emulator, its plugins opened."""
    harness = Harness(emulator_path)
    harness.open_plugins(emulator_path)
    return harness


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


@pytest.fixture(scope="session")
def plugin_library(repository: Path) -> Path:
    """The plugin library, for all architectures."""
    return build(repository, "plugins", "-DCMAKE_BUILD_TYPE=Release") / "liblc_trt_plugins.so"
