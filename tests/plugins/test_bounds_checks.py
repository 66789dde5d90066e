"""A debug build stops at any index read from memory that is out of range, and says where.

RegionSelect is not here: it reads no index, it makes them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plugin_cases import mask_of
from plugin_conv_cases import Conv, ConvCase
from plugin_harness import Harness, HarnessError, Region

SIZE = (1, 9, 11)
CHANNELS = 24


def gather(harness: Harness, region: Region) -> None:
    x = harness.put(np.zeros((1, CHANNELS, *SIZE[1:]), np.float16))
    harness.gather(x, region, harness.poisoned((region.max_rows, CHANNELS), np.float16))


def scatter(harness: Harness, region: Region) -> None:
    base = harness.put(np.zeros((1, CHANNELS, *SIZE[1:]), np.float16))
    x = harness.put(np.zeros((region.max_rows, CHANNELS), np.float16))
    harness.scatter(x, region, base, harness.poisoned(base.shape, np.float16))


def restrict(harness: Harness, region: Region) -> None:
    x = harness.put(np.zeros((region.max_rows, CHANNELS), np.float16))
    harness.restrict(x, region, region, harness.poisoned(x.shape, np.float16))


def max_pool(harness: Harness, region: Region) -> None:
    x = harness.put(np.zeros((region.max_rows, CHANNELS), np.float16))
    harness.max_pool(x, region, harness.poisoned(x.shape, np.float16), (3, 3, 1, 1))


def conv(dtype: str) -> Callable[[Harness, Region], None]:
    def launch(harness: Harness, region: Region) -> None:
        case = Conv(harness, ConvCase.of(16, CHANNELS, kernel=(3, 3), size=SIZE, dtype=dtype))
        case.fill("full")
        case.region = region
        case.launch()

    return launch


KERNELS = {
    "gather": (gather, ("count", "rows")),
    "scatter": (scatter, ("count", "rows")),
    "restrict": (restrict, ("count", "rows", "index")),
    "max_pool": (max_pool, ("count", "rows", "index")),
    "conv in FP16": (conv("float16"), ("count", "rows", "index")),
    "conv in FP32": (conv("float32"), ("count", "rows", "index")),
}
# Functions through which kernels read indices: kernels/common/region.cuh.
CONDITIONS = (
    b"within(value, max_rows + 1)", b"within(position, positions(map))",
    b"within(number, limit + 1)",
)  # fmt: skip
READ = [(name, array) for name, (_, arrays) in KERNELS.items() for array in arrays]


@pytest.mark.parametrize(("kernel", "array"), READ)
@pytest.mark.parametrize("past", ["below", "just past", "far"])
def test_an_index_out_of_range_stops_the_kernel(
    emulator: Harness, kernel: str, array: str, past: str
) -> None:
    region = emulator.region(mask_of("full", SIZE))
    launch, _ = KERNELS[kernel]
    launch(emulator, region)  # as it is, it runs
    # A position is below the number of pixels; a count and a row's number may be that number.
    first_wrong = region.max_rows + (array != "rows")
    wrong = {"below": -1, "just past": first_wrong, "far": 2**31 - 1}[past]
    spoilt = getattr(region, array)
    values = spoilt.numpy()
    values.reshape(-1)[values.size // 2] = wrong
    spoilt.set(values)
    with pytest.raises(HarnessError, match="a check in a kernel failed"):
        launch(emulator, region)


@pytest.mark.slow
def test_the_checks_are_in_a_debug_build_of_nvcc_and_not_in_the_library(
    repository: Path, tmp_path: Path, plugin_library: Path
) -> None:
    """A GPU prints the messages, so a build with checks has them in its machine code."""
    assert b"check failed" not in plugin_library.read_bytes()
    for name in ("region_rows", "region_max_pool"):
        out = tmp_path / "kernel.cubin"
        subprocess.run(
            ["nvcc", "-std=c++17", "-arch=sm_80", "-cubin", "-DLC_TRT_CHECK_BOUNDS",
             "-I", repository / "plugins", "-o", out,
             repository / "plugins" / "kernels" / name / f"{name}.cu"],
            check=True,
        )  # fmt: skip
        code = out.read_bytes()
        for condition in CONDITIONS:
            assert b"check failed: %s" in code and condition in code
