"""Adds the CUDA plugin to the build if it can be compiled; other settings are in pyproject.toml.

LC_TRT_BUILD_PLUGIN=1 compiles it or fails, 0 omits it. If unset, it is compiled if nvcc, CMake,
TensorRT's headers and plugins/CMakeLists.txt are available, and omitted silently otherwise.
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
# Only needed to test kernels in a checkout; users of the package build the library alone.
NOT_SHIPPED = ("*.so", "build", "check", "emulator", "harness", "CMakePresets.json")
# An isolated build does not have it on the path.
sys.path.insert(0, str(ROOT))

from lc_trt.errors import LcTrtError  # noqa: E402
from lc_trt.trt.plugin_build import compile_library, missing_parts  # noqa: E402


def compiles_plugin() -> bool:
    """Whether this build compiles the plugin.

    Raises:
        SetupError: LC_TRT_BUILD_PLUGIN is invalid, or is 1 and something is missing.
    """
    setting = os.environ.get("LC_TRT_BUILD_PLUGIN", "")
    if setting not in ("", "0", "1"):
        raise SetupError(f"LC_TRT_BUILD_PLUGIN is {setting!r}: expected 0, 1 or unset")
    if setting == "0":
        return False
    missing = list(missing_parts())
    if not (SOURCE / "CMakeLists.txt").is_file():
        missing.append("plugins/CMakeLists.txt")
    if missing and setting == "1":
        raise SetupError(f"LC_TRT_BUILD_PLUGIN=1, but there is no {', no '.join(missing)}")
    return not missing


class BuildWithPlugin(build_py):
    """Copies the Python modules and the plugin's source, and compiles the plugin if possible."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        home = Path("lc_trt", "plugins")
        if not self.editable_mode:
            self._copy_source(Path(self.build_lib, home, "source"))
        if not compiles_plugin():
            return
        work = Path(self.get_finalized_command("build").build_temp).resolve() / "plugins"
        out = (ROOT if self.editable_mode else Path(self.build_lib).resolve()) / home
        try:
            compile_library(out, work, source=SOURCE, log=print)
        except LcTrtError as error:
            raise SetupError(str(error)) from error

    def _copy_source(self, out: Path) -> None:
        """Copy the source, for ``lc-trt plugin build`` without a checkout."""
        shutil.rmtree(out, ignore_errors=True)
        if SOURCE.is_dir():
            shutil.copytree(SOURCE, out, ignore=shutil.ignore_patterns(*NOT_SHIPPED))


class MaybeBinary(Distribution):
    """Tags the wheel for this platform if it contains the compiled plugin, else for any."""

    def has_ext_modules(self) -> bool:
        """Whether the wheel contains machine code."""
        return compiles_plugin()


setup(cmdclass={"build_py": BuildWithPlugin}, distclass=MaybeBinary)
