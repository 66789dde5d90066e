"""setup.py: when it compiles the CUDA plugin, when it does not, and when it fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Stands for nvcc and CMake: notes its arguments, and installs one file.
TOOL = """#!/bin/sh
PATH=/usr/bin:/bin
echo "$(basename "$0") $*" >> "{log}"
case "$1" in --install) mkdir -p "$4" && : > "$4/liblc_trt.so";; esac
"""


class Checkout:
    """A checkout with one module, and a machine whose PATH and TensorRT are its own."""

    def __init__(self, root: Path, setup: Path) -> None:
        self.root, self.log, self.tools = root, root / "log", root / "tools"
        self.tensorrt = root / "tensorrt"
        shutil.copy(setup, root)
        (root / "pyproject.toml").write_text(
            '[project]\nname = "lc-trt"\nversion = "1"\n[tool.setuptools]\npackages = ["lc_trt"]\n'
        )
        for folder in ("lc_trt", "plugins", "tools", "tensorrt/include"):
            (root / folder).mkdir(parents=True)
        (root / "lc_trt" / "__init__.py").touch()

    def with_cmakelists(self) -> Checkout:
        (self.root / "plugins" / "CMakeLists.txt").touch()
        return self

    def with_tools(self, *names: str) -> Checkout:
        for name in names:
            (self.tools / name).write_text(TOOL.format(log=self.log))
            (self.tools / name).chmod(0o755)
        return self

    def with_headers(self) -> Checkout:
        (self.tensorrt / "include" / "NvInfer.h").touch()
        return self

    def build(self, asked: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.tools),
            "TENSORRT_ROOT": str(self.tensorrt),
        }
        if asked is not None:
            environment["LC_TRT_BUILD_PLUGIN"] = asked
        return subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build"],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    return Checkout(tmp_path, repository / "setup.py")


def test_nothing_is_compiled_here_and_now(checkout: Checkout) -> None:
    done = checkout.with_tools("nvcc", "cmake").with_headers().build()
    assert done.returncode == 0, done.stderr
    assert not checkout.log.exists()
    assert (checkout.root / "build" / "lib" / "lc_trt" / "__init__.py").is_file()


def test_without_headers_it_is_left_out_quietly(checkout: Checkout) -> None:
    done = checkout.with_cmakelists().with_tools("nvcc", "cmake").build()
    assert done.returncode == 0, done.stderr
    assert not checkout.log.exists()


@pytest.mark.parametrize("asked", [None, "1"])
def test_with_all_its_parts_it_is_compiled(checkout: Checkout, asked: str | None) -> None:
    done = checkout.with_cmakelists().with_tools("nvcc", "cmake").with_headers().build(asked)
    assert done.returncode == 0, done.stderr
    calls = [line.split()[1] for line in checkout.log.read_text().splitlines()]
    assert calls == ["-S", "--build", "--install"]
    # A library for this platform: build/lib.PLATFORM, not build/lib.
    (library,) = (checkout.root / "build").rglob("liblc_trt.so")
    assert library.relative_to(checkout.root / "build").parts[0].startswith("lib.")
    assert library.parent.parts[-2:] == ("lc_trt", "plugins")


def test_zero_leaves_it_out(checkout: Checkout) -> None:
    done = checkout.with_cmakelists().with_tools("nvcc", "cmake").with_headers().build("0")
    assert done.returncode == 0, done.stderr
    assert not checkout.log.exists()


def test_asked_for_without_its_parts_it_fails_in_one_line(checkout: Checkout) -> None:
    done = checkout.with_tools("cmake").build("1")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "error: LC_TRT_BUILD_PLUGIN=1, but there is no plugins/CMakeLists.txt, no "
        f"nvcc on PATH, no NvInfer.h in {checkout.tensorrt}/include "
        "(set TENSORRT_ROOT)"
    ]


def test_another_value_is_refused(checkout: Checkout) -> None:
    done = checkout.build("yes")
    assert done.returncode == 1
    assert "LC_TRT_BUILD_PLUGIN is 'yes': expected 0, 1 or unset" in done.stderr
