"""Subcommands that take groups of options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from lc_trt.cli.option_groups.compose import OptionGroup, takes_groups


@dataclass(frozen=True)
class Threads(OptionGroup):
    PANEL = "Hardware"
    threads: Annotated[int | None, typer.Option(metavar="N", min=1, help="CPU threads.")] = None


@dataclass(frozen=True)
class Hardware(Threads):
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.")] = 4
    device: Annotated[str, typer.Option("--device", "-d", help="GPU.")] = "cpu"


@dataclass(frozen=True, kw_only=True)
class Data(OptionGroup):
    source: Annotated[list[Path], typer.Option("--source", "-s")]
    bgr: Annotated[bool, typer.Option("--bgr")] = False


def invoke(words: list[str]) -> tuple[int, list[object]]:
    """The exit code, and what the subcommand was called with."""
    calls: list[object] = []

    @takes_groups
    def check(
        model: Annotated[Path, typer.Argument()],
        data: Data,
        hardware: Hardware,
        name: Annotated[str, typer.Option()] = "x",
    ) -> None:
        calls.extend([model, data, hardware, name])

    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, words).exit_code, calls


def test_a_subcommand_gets_its_groups() -> None:
    words = ["m.onnx", "-s", "a", "--source", "b", "--bgr", "-d", "cuda:1", "--name", "y"]
    data = Data(source=[Path("a"), Path("b")], bgr=True)
    assert invoke(words) == (0, [Path("m.onnx"), data, Hardware(4, "cuda:1"), "y"])


def test_defaults_and_demands_are_those_of_the_fields() -> None:
    data = Data(source=[Path("a")])
    assert invoke(["m.onnx", "-s", "a"]) == (0, [Path("m.onnx"), data, Hardware(4, "cpu"), "x"])
    assert invoke(["m.onnx"]) == (2, []), "an option without a default has to be given"
    assert invoke(["m.onnx", "-s", "a", "--threads", "0"]) == (2, []), "limits hold"


def test_two_groups_with_one_option_are_refused() -> None:
    def check(one: Threads, two: Hardware) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name: 'threads'"):
        takes_groups(check)
