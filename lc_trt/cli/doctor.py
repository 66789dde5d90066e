"""`lc-trt doctor`."""

from __future__ import annotations

import json

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.output import Json
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

_DRIVER = "apt-get install nvidia-open (NVIDIA's repository)"


def doctor(
    as_json: Json = False,
) -> None:
    """Show what this machine has of what lc-trt can use.

    What is missing is shown with the command that installs it.

    Exits with 1 where a package is missing that lc-trt always needs.

    Example:
        lc-trt doctor
    """
    machine = describe()
    plugin, remark = _plugin()
    if as_json:
        body = machine.as_dict()
        body["plugin"] = plugin.as_dict() if plugin else None
        body["plugin_needs"] = missing_parts()
        typer.echo(json.dumps(body, indent=2))
    else:
        _print(machine, plugin, remark)
    if any(package.required and package.version is None for package in machine.packages):
        raise typer.Exit(1)


def _plugin() -> tuple[PluginLibrary | None, str]:
    """The compiled plugin library, and what to say about it."""
    if find_library() is None:
        return None, f"TensorRT plugins of a cascade: {BUILD_COMMAND}"
    try:
        library = read_library()
    except LcTrtError as error:
        return None, str(error)
    code = f"{', '.join(library.architectures)}; SHA-256 {library.sha256[:12]}"
    if library.version != PLUGIN_VERSION:
        code += f"; this lc-trt needs version {PLUGIN_VERSION}: {BUILD_COMMAND}"
    return library, code


def _print(machine: Environment, plugin: PluginLibrary | None, remark: str) -> None:
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
    console.out().print(console.table(("what", "found", "remark"), rows))


def _compiler(part: str, found: object) -> tuple[str, str, str]:
    """A row for what compiles the plugin library."""
    purpose = "compiles the TensorRT plugins"
    if found is None:
        return part, "missing", f"{purpose}: {INSTALL[part]}"
    return part, str(found) if part == "nvcc" else "found", purpose
