"""The command line itself: help, loading on demand, and how errors end."""

from __future__ import annotations

import inspect
import os
import re
import statistics
import subprocess
import sys
import types
from collections.abc import Callable
from importlib import import_module

import pytest
import typer

import lc_trt
from lc_trt.cli import console
from lc_trt.cli.app import SUBCOMMANDS, load_subcommand, main
from lc_trt.errors import LcTrtError, UsageError

HEAVY = ("cv2", "matplotlib", "numpy", "onnx", "onnxruntime", "openvino", "tensorrt", "torch")


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Puts a function in the place of the subcommand `build`."""

    def replace(function: Callable[..., None]) -> None:
        module = types.ModuleType("lc_trt.cli.build")
        module.build = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "lc_trt.cli.build", module)

    return replace


def raising(error: BaseException) -> Callable[[], None]:
    def build() -> None:
        """Build."""
        raise error

    return build


def test_help_lists_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    width = max(map(len, SUBCOMMANDS))
    for name, summary in SUBCOMMANDS.items():
        assert f"  {name.ljust(width)}  {summary}\n" in shown


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_summaries_repeat_the_docstrings(name: str) -> None:
    doc = inspect.getdoc(getattr(import_module(f"lc_trt.cli.{name}"), name))
    assert doc is not None
    assert doc.splitlines()[0] == SUBCOMMANDS[name]
    assert f"lc-trt {name}" in doc, "the docstring shows an example"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_subcommand_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: lc-trt {name} ")
    assert re.search(rf"^ +lc-trt {name}\b", shown, re.MULTILINE), "an example has its own line"
    for parameter in load_subcommand(name).params:
        assert parameter.help, f"{parameter.name} has no help"


def test_help_shows_groups_under_their_headings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--help"]) == 0
    sections = dict(re.findall(r"^([A-Z][\w ]*):\n((?: .*\n)+)", capsys.readouterr().out, re.M))
    assert list(sections)[:2] == ["Arguments", "Options"]
    assert "--help" in sections["Options"] and "--mean" not in sections["Options"]
    for heading, option in {"Plain ONNX": "--mean", "TensorRT": "--workspace"}.items():
        assert option in sections[heading]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lc-trt {lc_trt.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from lc_trt.cli.app import main; main(['--help']);"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_is_quick() -> None:
    # CPU time, not wall time: other work on the machine must not fail this.
    def seconds() -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "lc_trt", "--help"], stdout=subprocess.DEVNULL, check=True
        )
        after = os.times()
        return (
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )

    assert statistics.median(seconds() for _ in range(5)) < 0.3


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (LcTrtError("a.onnx: no such file"), 1, "error: a.onnx: no such file"),
        (UsageError("--rho 2: expected 0 to 1"), 2, "error: --rho 2: expected 0 to 1"),
        (LcTrtError("pip install 'lc-trt[train]'"), 1, "error: pip install 'lc-trt[train]'"),
        (LcTrtError("two\nlines"), 1, "error: two lines"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            1,
            "error: the package torch is not installed: pip install 'lc-trt[train]'",
        ),
        (
            ModuleNotFoundError("No module named 'skimage.data'", name="skimage.data"),
            1,
            "error: the package skimage is not installed: pip install 'lc-trt[bench]'",
        ),
        (
            ModuleNotFoundError("No module named 'openvino'", name="openvino"),
            1,
            "error: the package openvino is not installed: pip install lc-trt",
        ),
        (
            ZeroDivisionError("division by zero"),
            1,
            "error: unexpected ZeroDivisionError: division by zero; "
            "rerun with --debug: lc-trt --debug build",
        ),
    ],
)
def test_an_error_is_one_line(
    error: Exception,
    code: int,
    line: str,
    build: Callable[[Callable[..., None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    build(raising(error))
    assert main(["build"]) == code
    assert capsys.readouterr() == ("", f"{line}\n")


def test_debug_shows_the_traceback(
    build: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    build(raising(LcTrtError("broken")))
    assert main(["--debug", "build"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("error: broken\n")


@pytest.mark.parametrize("code", [0, 1, 3])
def test_exit_code_of_a_subcommand(
    code: int, build: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    build(raising(typer.Exit(code)))
    assert main(["build"]) == code
    assert capsys.readouterr() == ("", "")


def test_interrupt_is_130(
    build: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    build(raising(KeyboardInterrupt()))
    assert main(["build"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["biuld"], "No such command 'biuld'. Did you mean 'build'? (lc-trt --help"),
        (["--nope"], "No such option: --nope (lc-trt --help"),
        (["-q"], "Missing command (lc-trt --help"),
        (["doctor", "--nope"], "No such option: --nope (lc-trt doctor --help"),
        (["doctor", "extra"], "unexpected extra argument(s) (extra) (lc-trt doctor --help"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    args: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert line in shown
    assert shown.count("\n") == 1


def test_quiet_reaches_the_console_and_does_not_stay(
    build: Callable[[Callable[..., None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def warns() -> None:
        """Build."""
        console.warn("few images")
        console.note("compiling")

    build(warns)
    assert main(["-q", "build"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["build"]) == 0
    assert capsys.readouterr().err == "warning: few images\ncompiling\n"
