"""The option for how a result is printed, and the printing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import OptionGroup

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Output(OptionGroup):
    """A result on stdout, for people or as JSON."""

    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False

    def print(self, values: dict[str, Any], *parts: str | Table) -> None:
        """Print a result.

        Args:
            values: the whole result, printed with ``--json`` and nothing else.
            *parts: lines and tables for people, printed otherwise.
        """
        if self.as_json:
            typer.echo(json.dumps(values, indent=2))
        else:
            console.show(*parts)
