"""`lc-trt doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lc_trt.cli import console
from lc_trt.environment import Environment, describe

_PLUGIN = "none: this version has no TensorRT backend, a later one brings it"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what this machine has of what lc-trt can use.

    Exits with 1 where a package is missing that lc-trt always needs.

    Example:
        lc-trt doctor
    """
    machine = describe()
    if as_json:
        typer.echo(json.dumps(machine.as_dict(), indent=2))
    else:
        _print(machine)
    if any(package.required and package.version is None for package in machine.packages):
        raise typer.Exit(1)


def _print(machine: Environment) -> None:
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
        ("nvcc", machine.nvcc or "missing", "compiles the CUDA plugin"),
        *(("GPU", f"{index}", gpu) for index, gpu in enumerate(machine.gpus)),
        *([] if machine.gpus else [("GPU", "none", "nvidia-smi lists none")]),
        ("plugin", "not built", _PLUGIN),
    ]
    console.out().print(console.table(("what", "found", "remark"), rows))
