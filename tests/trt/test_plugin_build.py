"""Compiling the plugin library, with fake tools that record their arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_compilers import tools
from fake_library import library_bytes

from lc_trt.errors import LcTrtError
from lc_trt.trt.plugin_build import compile_library, find_headers, missing_parts
from lc_trt.trt.plugin_library import FILE

__all__ = ["tools"]


def test_the_library_is_built_in_a_persistent_folder(tools: Path, tmp_path: Path) -> None:
    source, work, out = tmp_path / "source", tmp_path / "work", tmp_path / "out"
    path = compile_library(out, work, source=source, jobs=2)
    assert path == out / FILE and path.read_bytes() == library_bytes()
    assert [p.name for p in out.iterdir()] == [FILE]
    configure, build, install = (tools / "log").read_text().splitlines()
    assert configure.startswith(f"-S {source} -B {work} -DCMAKE_BUILD_TYPE=Release ")
    # Without architectures CMake gets none, and not those of its last run in this folder.
    assert configure.endswith("-DCMAKE_CUDA_ARCHITECTURES=")
    assert build == f"--build {work} --parallel 2"
    assert install == f"--install {work} --prefix {work}/installed"


def test_missing_tools_are_named_with_their_installation(tools: Path, tmp_path: Path) -> None:
    (tools / "nvcc").unlink()
    (tools / "include" / "NvInfer.h").unlink()
    assert list(missing_parts()) == ["nvcc", "NvInfer.h"]
    with pytest.raises(LcTrtError, match=r"no nvcc \(apt-get .*no NvInfer.h \(pip install"):
        compile_library(tmp_path / "out", tmp_path / "work")


def test_headers_are_those_of_the_root_that_is_named(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_headers() == tools / "include"
    monkeypatch.setenv("TENSORRT_ROOT", str(tmp_path / "none"))
    assert find_headers() is None, "and no others where it is named"
