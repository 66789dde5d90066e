"""Plugins call nothing in enqueue that a CUDA graph cannot capture."""

from __future__ import annotations

import re
from pathlib import Path

CALL = re.compile(r"\b(cuda[A-Z]\w*)\s*\(")
# Neither allocates, frees, waits for the GPU nor copies to the host.
ALLOWED = {
    "cudaDeviceGetAttribute",
    "cudaFuncSetAttribute",
    "cudaGetDevice",
    "cudaGetErrorString",
    "cudaLaunchKernelEx",
    "cudaMemcpyAsync",
    "cudaOccupancyMaxActiveBlocksPerMultiprocessor",
}


def sources(repository: Path) -> list[Path]:
    """Sources of the plugin library."""
    plugins = repository / "plugins"
    folders = [plugins / "kernels", plugins / "common", *plugins.glob("region_*")]
    return [p for f in folders for p in f.rglob("*") if p.suffix in (".cu", ".cuh", ".h", ".cpp")]


def test_nothing_allocates_synchronises_or_copies_to_the_host(repository: Path) -> None:
    files = sources(repository)
    assert len(files) > 30
    called = {(name, path.name) for path in files for name in CALL.findall(path.read_text())}
    assert sorted((name, path) for name, path in called if name not in ALLOWED) == []
    assert "cudaLaunchKernelEx" in {name for name, _ in called}


def test_copies_stay_on_the_gpu(repository: Path) -> None:
    kinds: set[str] = set()
    for path in sources(repository):
        kinds |= set(re.findall(r"cudaMemcpy\w+To\w+", path.read_text()))
    assert kinds == {"cudaMemcpyDeviceToDevice"}


def test_kernels_are_launched_in_one_place(repository: Path) -> None:
    """Only by `launch` in device.cuh, so that the list above is complete."""
    assert not [p.name for p in sources(repository) if "<<<" in p.read_text()]
    launchers = [p.name for p in sources(repository) if "cudaLaunchKernelEx" in p.read_text()]
    assert launchers == ["device.cuh"]
