"""Exports and dependencies of the compiled library, and creating its plugins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from plugin_harness import HarnessError

from lc_trt.ir.interface import PLUGIN_VERSION
from lc_trt.ir.region_ops import OPERATORS
from lc_trt.trt.plugin_library import open_library

pytestmark = pytest.mark.slow


def lines_of(*command: str | Path) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_it_exports_its_two_entry_points_and_nothing_else(plugin_library):
    symbols = lines_of("nm", "--dynamic", "--defined-only", plugin_library)
    assert sorted(line.split()[-1] for line in symbols) == ["getCreators", "setLoggerFinder"]


def test_it_needs_no_tensorrt_no_cuda_runtime_and_no_driver(plugin_library):
    lines = lines_of("readelf", "--dynamic", "--wide", plugin_library)
    needed = {line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line}
    assert needed <= {
        "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1",
        "libstdc++.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
    }  # fmt: skip


def test_it_has_code_for_every_documented_gpu(plugin_library):
    library = open_library(plugin_library)
    machine_code = {f"sm_{number}" for number in (75, 80, 86, 89, 90, 120)}
    assert set(library.architectures) == machine_code | {"compute_120"}


def test_its_version_equals_that_of_its_plugins(emulated_plugins, plugin_library):
    assert open_library(plugin_library).version == PLUGIN_VERSION
    assert emulated_plugins.plugin("RegionSelect").identity()[1] == PLUGIN_VERSION


def test_its_plugins_can_be_created_without_a_gpu(emulated_plugins, emulator_path, plugin_library):
    harness = emulated_plugins
    try:
        assert set(harness.open_plugins(plugin_library)) == set(OPERATORS)
        assert harness.plugin("RegionSelect").identity()[:3] == ("RegionSelect", "1", "lc_trt")
        with pytest.raises(HarnessError, match="attribute kernel_shape is missing"):
            harness.plugin("RegionConv")
    finally:
        harness.open_plugins(emulator_path)
