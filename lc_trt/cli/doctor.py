"""`lc-trt doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.output import Output
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import PLUGIN_VERSION
from lc_trt.trt.plugin_build import INSTALL, find_headers, find_tool, missing_parts
from lc_trt.trt.plugin_library import (
    BUILD_COMMAND,
    PluginLibrary,
    find_library,
    read_library,
)
from lc_trt.utils.machine import Environment, describe

if TYPE_CHECKING:
    from rich.table import Table

_DRIVER = "apt-get install nvidia-open (NVIDIA's repository)"


@takes_groups
def doctor(output: Output) -> None:
    """Show what this machine has of what lc-trt can use.

    Each missing part has the command that installs it. Exits with 1 where a package is missing
    that lc-trt always needs.

    Example:
        lc-trt doctor
    """
    machine = describe()
    plugin, remark = _plugin()
    values = machine.as_dict()
    values["plugin"] = plugin.as_dict() if plugin else None
    values["plugin_needs"] = missing_parts()
    output.print(values, _table(machine, plugin, remark))
    if any(package.required and package.version is None for package in machine.packages):
        raise typer.Exit(1)


def _plugin() -> tuple[PluginLibrary | None, str]:
    """The compiled plugin library, and a remark about it."""
    if find_library() is None:
        return None, f"TensorRT plugins of a cascade: {BUILD_COMMAND}"
    try:
        library = read_library()
    except LcTrtError as error:
        return None, str(error)
    remark = f"{', '.join(library.architectures)}; SHA-256 {library.sha256[:12]}"
    if library.version != PLUGIN_VERSION:
        remark += f"; this lc-trt needs version {PLUGIN_VERSION}: {BUILD_COMMAND}"
    return library, remark


def _table(machine: Environment, plugin: PluginLibrary | None, remark: str) -> Table:
    features = " ".join(machine.cpu_features) or "no AVX2 or newer"
    rows = [
        ("lc-trt", machine.lc_trt, ""),
        ("python", machine.python, machine.platform),
        *(
            (
                package.module,
                package.version or "missing",
                package.purpose if package.version else f"{package.purpose}: {package.install}",
            )
            for package in machine.packages
        ),
        ("CPU", f"{machine.cores} cores", f"{machine.cpu}, {features}"),
        (
            "driver",
            machine.driver or "missing",
            "NVIDIA's" if machine.driver else f"runs TensorRT engines: {_DRIVER}",
        ),
        *(("GPU", f"{index}", gpu) for index, gpu in enumerate(machine.gpus)),
        *([] if machine.gpus else [("GPU", "none", "nvidia-smi lists none")]),
        _compiler("nvcc", machine.nvcc),
        _compiler("cmake", find_tool("cmake")),
        _compiler("c++", find_tool("c++")),
        _compiler("NvInfer.h", find_headers()),
        ("plugin", f"version {plugin.version}" if plugin else "not built", remark),
    ]
    return console.table(("what", "found", "remark"), rows)


def _compiler(part: str, path: object) -> tuple[str, str, str]:
    """A row for a part of the tool chain that compiles the plugin library."""
    purpose = "compiles the TensorRT plugins"
    if path is None:
        return part, "missing", f"{purpose}: {INSTALL[part]}"
    return part, str(path) if part == "nvcc" else "found", purpose
