"""When setup.py compiles the CUDA plugin, omits it, or fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Fake nvcc and CMake: records its arguments and installs one file.
TOOL = """#!/bin/sh
PATH=/usr/bin:/bin
echo "$(basename "$0") $*" >> "{log}"
case "$1" in --install) mkdir -p "$4" && : > "$4/liblc_trt_plugins.so";; esac
"""


ALL = ("nvcc", "cmake", "c++")


SYSTEM = tuple(
    Path(place)
    for place in (
        "/usr/local/include",
        "/usr/include",
        "/usr/include/x86_64-linux-gnu",
        "/usr/include/aarch64-linux-gnu",
    )
)

# What setup.py imports of the package.
NEEDED = (
    "__init__", "errors", "version", "trt/__init__", "trt/plugin_build", "trt/plugin_library",
    "ir/__init__", "ir/interface", "utils/__init__", "utils/files", "utils/progress",
)  # fmt: skip


class Checkout:
    """A minimal checkout with its own PATH and TensorRT."""

    def __init__(self, root: Path, setup: Path) -> None:
        self.root, self.log, self.tools = root, root / "log", root / "tools"
        self.tensorrt = root / "tensorrt"
        shutil.copy(setup, root)
        (root / "pyproject.toml").write_text(
            '[project]\nname = "lc-trt"\nversion = "1"\n[tool.setuptools]\npackages = ["lc_trt"]\n'
        )
        for folder in (
            "lc_trt/ir",
            "lc_trt/trt",
            "lc_trt/utils",
            "plugins",
            "tools",
            "tensorrt/include",
        ):
            (root / folder).mkdir(parents=True)
        for name in NEEDED:
            shutil.copy(setup.parent / "lc_trt" / f"{name}.py", root / "lc_trt" / f"{name}.py")

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

    def build(
        self, requested: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.tools),
            "TENSORRT_ROOT": str(self.tensorrt),
            **variables,
        }
        if requested is not None:
            environment["LC_TRT_BUILD_PLUGIN"] = requested
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


def test_a_plain_build_compiles_nothing(checkout: Checkout) -> None:
    done = checkout.with_tools(*ALL).with_headers().build()
    assert done.returncode == 0, done.stderr
    assert not checkout.log.exists()
    assert (checkout.root / "build" / "lib" / "lc_trt" / "__init__.py").is_file()


def test_without_headers_the_plugin_is_omitted(checkout: Checkout) -> None:
    done = checkout.with_cmakelists().with_tools(*ALL).build()
    assert done.returncode == 0, done.stderr
    assert not checkout.log.exists()


@pytest.mark.parametrize("requested", [None, "1"])
def test_with_all_tools_the_plugin_is_compiled(checkout: Checkout, requested: str | None) -> None:
    done = checkout.with_cmakelists().with_tools(*ALL).with_headers().build(requested)
    assert done.returncode == 0, done.stderr
    calls = [line.split()[1] for line in checkout.log.read_text().splitlines()]
    assert calls == ["-S", "--build", "--install"]
    # A library for this platform: build/lib.PLATFORM, not build/lib.
    (library,) = (checkout.root / "build").rglob("lib.*/**/liblc_trt_plugins.so")
    assert library.relative_to(checkout.root / "build").parts[0].startswith("lib.")
    assert library.parent.parts[-2:] == ("lc_trt", "plugins")


def test_zero_omits_the_plugin(checkout: Checkout) -> None:
    done = checkout.with_cmakelists().with_tools(*ALL).with_headers().build("0")
    assert done.returncode == 0, done.stderr
    assert not checkout.log.exists()


def test_a_requested_plugin_without_its_tools_is_a_one_line_error(checkout: Checkout) -> None:
    done = checkout.with_tools("cmake").build("1")
    assert done.returncode == 1
    # CMake and a compiler may lie beside this Python or not.
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: LC_TRT_BUILD_PLUGIN=1, but there is no nvcc, ")
    assert line.endswith("no NvInfer.h, no plugins/CMakeLists.txt")


def test_headers_of_the_wheel_are_the_default(checkout: Checkout) -> None:
    wheel = checkout.root / "site" / "kernel_lens"
    (wheel / "include" / "tensorrt").mkdir(parents=True)
    (wheel / "__init__.py").touch()
    (wheel / "include" / "tensorrt" / "NvInfer.h").touch()
    code = (
        "import os; os.environ.pop('TENSORRT_ROOT', None)\n"
        "from lc_trt.trt.plugin_build import find_headers; print(find_headers())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=checkout.root,
        env={"PYTHONPATH": f"{checkout.root}:{wheel.parent}"},
        capture_output=True,
        text=True,
        check=True,
    )
    # A system that has them comes first.
    assert Path(done.stdout.strip()) in (wheel / "include" / "tensorrt", *SYSTEM)


def test_the_source_goes_into_the_package(checkout: Checkout) -> None:
    checkout.with_cmakelists()
    (checkout.root / "plugins" / "entry.cpp").touch()
    assert checkout.build("0").returncode == 0
    source = checkout.root / "build" / "lib" / "lc_trt" / "plugins" / "source"
    assert sorted(p.name for p in source.iterdir()) == ["CMakeLists.txt", "entry.cpp"]


def test_another_value_is_refused(checkout: Checkout) -> None:
    done = checkout.build("yes")
    assert done.returncode == 1
    assert "LC_TRT_BUILD_PLUGIN is 'yes': expected 0, 1 or unset" in done.stderr
