"""The native CPU library as it is shipped: what it exports, and where its instructions are."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from native_library import shipped_library

from lc_trt.runtime.native.library import NativeLibrary

KERNELS = ("avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx")


def output(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"needs {command[0]}: apt-get install binutils gcc")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def objects() -> Path:
    return shipped_library().parent / "CMakeFiles" / "lc_trt_cpu.dir"


def test_it_exports_its_c_interface_only() -> None:
    symbols = output("nm", "-D", "--defined-only", shipped_library())
    names = {line.split()[2] for line in symbols.splitlines()}
    assert names
    assert {name for name in names if not name.startswith("lct_cpu_")} == set()


def test_it_needs_no_library_but_those_of_the_compiler() -> None:
    needed = output("readelf", "-d", shipped_library())
    names = {line.split("[")[1].split(".so")[0] for line in needed.splitlines() if "NEEDED" in line}
    assert names <= {"libstdc++", "libgcc_s", "libm", "libc", "libpthread", "ld-linux-x86-64"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="has kernels for x86-64 only")
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_share_no_code(kernel: str) -> None:
    # The linker keeps one copy of an inline function: of these it might be one that not every
    # processor can run.
    symbols = output("nm", objects() / "kernels" / f"{kernel}.cpp.o")
    shared = {line.split()[-1] for line in symbols.splitlines() if line.split()[-2] in "VWuvw"}
    assert shared == set()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="has kernels for x86-64 only")
def test_only_kernels_have_instructions_that_not_every_processor_has() -> None:
    common = [p for p in objects().rglob("*.o") if p.name.split(".")[0] not in KERNELS]
    assert len(common) > 5
    for path in common:
        code = output("objdump", "-d", "--no-show-raw-insn", path)
        assert "ymm" not in code and "zmm" not in code and "tmm" not in code, path.name
    amx = output("objdump", "-d", "--no-show-raw-insn", objects() / "kernels" / "amx.cpp.o")
    for instruction in ("tdpbf16ps", "tdpbusd", "tdpbssd", "tileloadd", "tilestored", "tilezero"):
        assert instruction in amx


def test_it_loads_and_has_no_software_model() -> None:
    assert not NativeLibrary(shipped_library()).emulates_amx


INTRINSICS = """
#include <immintrin.h>
void all(void* p, long stride) {
    _tile_zero(3);
    _tile_loadd(5, p, stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbssd(3, 5, 7);
    _tile_stored(0, p, stride);
}
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="has kernels for x86-64 only")
def test_tile_instructions_take_their_operands_in_the_order_of_the_intrinsics(
    tmp_path: Path,
) -> None:
    # They are written by hand, since the intrinsics take literals only, and tests run the model.
    def instructions(path: Path) -> set[str]:
        lines = output("objdump", "-d", "--no-show-raw-insn", path).splitlines()
        found = {" ".join(line.split("\t")[-1].split()) for line in lines if "tmm" in line}
        # Addresses are any two registers.
        return {re.sub(r"%r\w+", "%r", line) for line in found}

    source, compiled = tmp_path / "all.c", tmp_path / "all.o"
    source.write_text(INTRINSICS)
    output("gcc", "-O1", "-mamx-tile", "-mamx-bf16", "-mamx-int8", "-c", source, "-o", compiled)
    expected = instructions(compiled)
    assert len(expected) == 6
    assert expected <= instructions(objects() / "kernels" / "amx.cpp.o")
