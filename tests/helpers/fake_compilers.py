"""A fixture: fake nvcc, CMake, C++ compiler and headers, which record their arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_library import library_bytes

# Stands for CMake: notes its arguments and installs a library, unless a file tells it to fail.
CMAKE = """#!/bin/sh
PATH=/usr/bin:/bin
echo "$*" >> "{tools}/log"
case "$1" in
    --build) [ ! -f "{tools}/fail" ] || {{ echo "a.cu(3): error: no such thing" >&2; exit 2; }};;
    --install) mkdir -p "$4" && cp "{tools}/library" "$4/liblc_trt_plugins.so";;
esac
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder on PATH that holds them.

    CMake's arguments are lines of ``log`` in it; with a file ``fail`` in it compilation fails.
    """
    folder = tmp_path / "tools"
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "NvInfer.h").touch()
    (folder / "library").write_bytes(library_bytes())
    for name in ("nvcc", "cmake", "c++"):
        (folder / name).write_text(CMAKE.format(tools=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("TENSORRT_ROOT", str(folder))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    return folder
