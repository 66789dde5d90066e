"""``lc-trt plugin``."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.output import Output
from lc_trt.errors import UsageError
from lc_trt.trt.plugin_build import compile_library
from lc_trt.trt.plugin_library import HOME, open_library


class Action(StrEnum):
    """Actions on the plugin library."""

    BUILD = "build"


@takes_groups
def plugin(
    action: Annotated[Action, typer.Argument(help="build compiles it with nvcc.")],
    output: Output,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder.", show_default="in the package"),
    ] = None,
    architectures: Annotated[
        str | None,
        typer.Option(
            metavar="SM[,SM]",
            help="GPUs to compile for, as in 86,89.",
            show_default="75 to 120, all that TensorRT knows",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Compilers at a time.", show_default="one per core"),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show what CMake and the compilers print.")
    ] = False,
) -> None:
    """Compile the TensorRT plugins.

    Needs nvcc 13, CMake, a C++ compiler and TensorRT's headers; lc-trt doctor shows which are
    missing and how to install them.

    Example:
      lc-trt plugin build
    """
    assert action is Action.BUILD
    numbers = architectures.split(",") if architectures else []
    if not all(number.isdigit() for number in numbers):
        raise UsageError(f"--architectures {architectures}: expected numbers, as in 86,89")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs {jobs}: expected at least 1")
    start = perf_counter()
    with tempfile.TemporaryDirectory(prefix="lc-trt-plugin-") as work:
        path = compile_library(
            out or HOME,
            Path(work),
            architectures=";".join(numbers) or None,
            jobs=jobs,
            log=console.note if verbose else None,
            monitor=console.BarMonitor(),
        )
    library = open_library(path)
    output.print(
        library.as_dict(),
        f"{path}: version {library.version}, {', '.join(library.architectures)}, compiled in "
        f"{perf_counter() - start:.0f} s",
    )
