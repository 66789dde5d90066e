"""Adds the CUDA plugin to the build where it can be compiled; pyproject.toml holds all the rest.

LC_TRT_BUILD_PLUGIN=1 compiles it or fails, 0 leaves it out. Unset, it is compiled where nvcc,
CMake, TensorRT's headers and plugins/CMakeLists.txt are there, and left out quietly elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "plugins"
SYSTEM_INCLUDES = (
    "/usr/include",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include/aarch64-linux-gnu",
)


def missing_parts() -> list[str]:
    """What the plugin cannot be compiled without and this machine or checkout has not."""
    root = os.environ.get("TENSORRT_ROOT")
    includes = [f"{root}/include"] if root else SYSTEM_INCLUDES
    missing = []
    if not (SOURCE / "CMakeLists.txt").is_file():
        missing.append("plugins/CMakeLists.txt")
    missing += [f"{tool} on PATH" for tool in ("nvcc", "cmake") if shutil.which(tool) is None]
    if not any(Path(folder, "NvInfer.h").is_file() for folder in includes):
        missing.append(f"NvInfer.h in {' or '.join(includes)} (set TENSORRT_ROOT)")
    return missing


def plugin_wanted() -> bool:
    """Whether this build compiles the plugin; an error where it was asked for and cannot be."""
    asked = os.environ.get("LC_TRT_BUILD_PLUGIN", "")
    if asked not in ("", "0", "1"):
        raise SetupError(f"LC_TRT_BUILD_PLUGIN is {asked!r}: expected 0, 1 or unset")
    if asked == "0":
        return False
    missing = missing_parts()
    if missing and asked == "1":
        raise SetupError(f"LC_TRT_BUILD_PLUGIN=1, but there is no {', no '.join(missing)}")
    return not missing


class BuildWithPlugin(build_py):
    """Copies the Python modules, then compiles the plugin into the package beside them."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if not plugin_wanted():
            return
        work = Path(self.get_finalized_command("build").build_temp).resolve() / "plugins"
        package = ROOT if self.editable_mode else Path(self.build_lib).resolve()
        for command in (
            ["cmake", "-S", SOURCE, "-B", work, "-DCMAKE_BUILD_TYPE=Release"],
            ["cmake", "--build", work, "--parallel"],
            ["cmake", "--install", work, "--prefix", package / "lc_trt" / "plugins"],
        ):
            subprocess.run(command, check=True)


class MaybeBinary(Distribution):
    """Tags the wheel for this platform when it holds the compiled plugin, for any when not."""

    def has_ext_modules(self) -> bool:
        """Whether the wheel holds machine code."""
        return plugin_wanted()


setup(cmdclass={"build_py": BuildWithPlugin}, distclass=MaybeBinary)
