"""The `lc-trt` command: its subcommands, each imported when it is called, and its errors."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import lc_trt
from lc_trt.cli import console
from lc_trt.errors import LcTrtError

# One module per subcommand, lc_trt/cli/NAME.py, with a function of that name. The summaries repeat
# the first lines of its docstrings, because reading those would import what `--help` must not.
SUBCOMMANDS = {
    "export": "Export a network from PyTorch to a cascade ONNX.",
    "build": "Build an engine from an ONNX.",
    "calibrate": "Measure the ranges of a network's activations, for INT8.",
    "compare": "Compare labels, stages and probabilities of two models.",
    "plugin": "Compile the TensorRT plugins.",
    "inspect": "Show what is inside an ONNX or a built engine.",
    "train": "Train a network as a YAML file says: data, network, phases.",
    "eval": "Measure the accuracy of a model on labelled images.",
    "tune": "Find thresholds for a frame rate, or with a bound on changes.",
    "bench": "Measure the speed of a built engine beside published figures.",
    "run": "Segment images, videos, cameras and streams with an engine.",
    "doctor": "Show what this machine has of what lc-trt can use.",
}

# The extra of lc-trt that installs a module; None for a package that lc-trt always needs.
_EXTRAS = {
    "torch": "train",
    "safetensors": "train",
    "PIL": "train",
    "huggingface_hub": "train",
    "pydantic": "train",
    "tensorboardX": "train",
    "yaml": "train",
    "skimage": "bench",
    "jinja2": "report",
    "matplotlib": "report",
    "tensorrt": "tensorrt",
    "cuda": "tensorrt",
    "av": None,
    "cv2": None,
    "numpy": None,
    "onnx": None,
    "onnxruntime": None,
    "openvino": None,
}


class _GroupedCommand(TyperCommand):
    """Shows the options of each group under the group's heading."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                own = "Arguments" if parameter.param_type_name == "argument" else "Options"
                heading = getattr(parameter, "rich_help_panel", None) or own
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class _LazyGroup(TyperGroup):
    """Lists subcommands from the table above and imports only the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_subcommand(name) if name else command, rest


# Plain help: quicker than Typer's boxes, and brackets in a help text are not taken for markup.
_STYLE: dict[str, Any] = {
    "add_completion": False,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 100},
    "rich_markup_mode": None,
}
app = typer.Typer(name="lc-trt", cls=_LazyGroup, **_STYLE)


def load_subcommand(name: str) -> Any:
    """The command object of a subcommand; imports its module and no other subcommand's.

    Args:
        name: of the subcommand.
    """
    function = getattr(import_module(f"lc_trt.cli.{name}"), name)
    alone = typer.Typer(**_STYLE)
    alone.command(name, cls=_GroupedCommand)(function)
    command: Any = typer.main.get_command(alone)
    command.help = _keep_examples(command.help)
    return command


def _keep_examples(text: str) -> str:
    """Mark paragraphs that start with "Example" so that help does not rewrap their lines."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"\b\n{p}" if p.startswith("Example") else p for p in paragraphs)


def _version(requested: bool) -> None:
    if requested:
        console.show(f"lc-trt {lc_trt.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, notes or warnings.")
    ] = False,
) -> None:
    """Layer Cascade segmentation, from PyTorch to a deployed engine.

    lc-trt COMMAND --help shows a command's options and an example.
    """
    console.settings.debug = debug
    console.settings.quiet = quiet


def _listed_only() -> None:
    raise AssertionError("a listed subcommand is loaded before it is called")


for _name, _summary in SUBCOMMANDS.items():
    app.command(_name, help=_summary)(_listed_only)


def main(args: list[str] | None = None) -> int:
    """Run `lc-trt`.

    An error is one line on stderr; its traceback is shown with ``--debug`` only.

    Args:
        args: the arguments; None for those of the process.

    Returns:
        The exit code: 0 for success, 1 for a failure, 2 for wrong usage, 130 after an interrupt.
    """
    args = sys.argv[1:] if args is None else args
    console.settings.debug = console.settings.quiet = False
    console.settings.arguments = tuple(args)
    try:
        code = typer.main.get_command(app).main(
            args or ["--help"], prog_name="lc-trt", standalone_mode=False
        )
        return code if isinstance(code, int) else 0
    except Exception as error:
        if console.settings.debug:
            traceback.print_exc()
        message, code = _explain(error, args)
        console.error(message)
        return code
    except KeyboardInterrupt:  # Typer turns most of them into 130 itself
        return 130


def _explain(error: Exception, args: list[str]) -> tuple[str, int]:
    """An error as one line and an exit code."""
    if isinstance(error, LcTrtError):
        return str(error), error.exit_code
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        hint = f" ({context.command_path} --help shows the usage)" if context else ""
        return f"{error.format_message().rstrip('.')}{hint}", error.exit_code
    if isinstance(error, typer.Abort):
        return "aborted", 1
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package in _EXTRAS:
            extra = _EXTRAS[package]
            requirement = f"'lc-trt[{extra}]'" if extra else "lc-trt"
            return f"the package {package} is not installed: pip install {requirement}", 1
    command = " ".join(["lc-trt --debug", *args])
    return f"unexpected {type(error).__name__}: {error}; rerun with --debug: {command}", 1
