"""The check program of the native CPU library: under sanitizers, and on another processor."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from native_library import CHECK_OPTIONS, build_native

# As the preset aarch64.
CROSS = (
    "-DCMAKE_SYSTEM_NAME=Linux",
    "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
    "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
)


def run_check(folder: Path, rounds: int, *before: str) -> str:
    command = [*before, folder / "lc_trt_cpu_check", str(rounds)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LC_TRT_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.startswith("passed: portable")
    return done.stdout


def test_address_and_undefined_behaviour_sanitizers() -> None:
    sanitize = "-DLC_TRT_CPU_SANITIZE=address,undefined"
    passed = run_check(build_native("cpu-asan", *CHECK_OPTIONS, sanitize), 4)
    assert "amx" in passed  # the software model: everywhere


@pytest.mark.slow  # as the next: compiles the library once more
def test_thread_sanitizer() -> None:
    run_check(build_native("cpu-tsan", *CHECK_OPTIONS, "-DLC_TRT_CPU_SANITIZE=thread"), 3)


@pytest.mark.slow
def test_aarch64() -> None:
    qemu = shutil.which("qemu-aarch64")
    if qemu is None:
        pytest.skip("needs an emulator: apt-get install qemu-user")
    if shutil.which("aarch64-linux-gnu-g++") is None:
        pytest.skip("needs a cross compiler: apt-get install g++-aarch64-linux-gnu")
    folder = build_native("cpu-aarch64", *CHECK_OPTIONS, *CROSS)
    assert run_check(folder, 5, qemu, "-L", "/usr/aarch64-linux-gnu").split()[1:] == [
        "portable", "amx",
    ]  # fmt: skip
