"""Builds the native CPU library for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The library with AMX as a software model, and the program that checks it.
CHECK_OPTIONS = ("-DLC_TRT_CPU_CHECK=ON", "-DLC_TRT_CPU_EMULATE_AMX=ON")


@cache
def build_native(folder: str, *options: str) -> Path:
    """Configure and build plugins/cpu in build/FOLDER, which is kept for the next run."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    compiler = next((o.partition("=")[2] for o in options if "CXX_COMPILER=" in o), "c++")
    missing = [t for t in ("cmake", compiler) if shutil.which(t, path=environment["PATH"]) is None]
    if missing:
        pytest.skip(f"compiles plugins/cpu, and there is no {', no '.join(missing)} here")
    out = ROOT / "build" / folder
    for command in (
        ["cmake", "-S", ROOT / "plugins" / "cpu", "-B", out, *options],
        ["cmake", "--build", out, "--parallel", str(len(os.sched_getaffinity(0)))],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        assert "warning" not in done.stderr.lower(), done.stderr
    return out


def checked_library() -> Path:
    """The library with every path that this machine has, and AMX as a software model."""
    return build_native("cpu-check", *CHECK_OPTIONS) / "liblc_trt_cpu.so"


def shipped_library() -> Path:
    """The library as it is shipped."""
    return build_native("cpu", "-DLC_TRT_CPU_EMULATE_AMX=OFF") / "liblc_trt_cpu.so"
