"""Adds the CUDA plugin to the build where it can be compiled; pyproject.toml holds all the rest.

LC_TRT_BUILD_PLUGIN=1 compiles it or fails, 0 leaves it out. Unset, it is compiled where nvcc,
CMake, TensorRT's headers and plugins/CMakeLists.txt are there, and left out quietly elsewhere.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "plugins"
# What a checkout needs to test kernels; users of the package build the library alone.
NOT_SHIPPED = ("*.so", "build", "emulator", "harness", "CMakePresets.json")
# Not on the path of an isolated build.
sys.path.insert(0, str(ROOT))

from lc_trt.errors import LcTrtError  # noqa: E402
from lc_trt.trt.plugin_build import compile_library, missing_parts  # noqa: E402


def plugin_wanted() -> bool:
    """Whether this build compiles the plugin; an error where it was asked for and cannot be."""
    asked = os.environ.get("LC_TRT_BUILD_PLUGIN", "")
    if asked not in ("", "0", "1"):
        raise SetupError(f"LC_TRT_BUILD_PLUGIN is {asked!r}: expected 0, 1 or unset")
    if asked == "0":
        return False
    missing = list(missing_parts())
    if not (SOURCE / "CMakeLists.txt").is_file():
        missing.append("plugins/CMakeLists.txt")
    if missing and asked == "1":
        raise SetupError(f"LC_TRT_BUILD_PLUGIN=1, but there is no {', no '.join(missing)}")
    return not missing


class BuildWithPlugin(build_py):
    """Copies the Python modules and the plugin's source, and compiles it where that can be done."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        home = Path("lc_trt", "plugins")
        if not self.editable_mode:
            self._copy_source(Path(self.build_lib, home, "source"))
        if not plugin_wanted():
            return
        work = Path(self.get_finalized_command("build").build_temp).resolve() / "plugins"
        out = (ROOT if self.editable_mode else Path(self.build_lib).resolve()) / home
        try:
            compile_library(out, work, source=SOURCE, log=print)
        except LcTrtError as error:
            raise SetupError(str(error)) from error

    def _copy_source(self, out: Path) -> None:
        """For ``lc-trt plugin build`` where there is no checkout."""
        shutil.rmtree(out, ignore_errors=True)
        if SOURCE.is_dir():
            shutil.copytree(SOURCE, out, ignore=shutil.ignore_patterns(*NOT_SHIPPED))


class MaybeBinary(Distribution):
    """Tags the wheel for this platform when it holds the compiled plugin, for any when not."""

    def has_ext_modules(self) -> bool:
        """Whether the wheel holds machine code."""
        return plugin_wanted()


setup(cmdclass={"build_py": BuildWithPlugin}, distclass=MaybeBinary)
