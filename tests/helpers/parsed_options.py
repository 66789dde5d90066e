"""A group of options, as a subcommand gets it from the words of a command line."""

from __future__ import annotations

from typing import TypeVar

import typer
from typer.testing import CliRunner

from lc_trt.cli.option_groups.compose import OptionGroup, takes_groups

G = TypeVar("G", bound=OptionGroup)


def parsed(group: type[G], *words: str) -> G:
    """The group that a subcommand with no other options gets.

    Args:
        group: the group.
        words: the command line after the subcommand.

    Raises:
        SystemExit: typer refuses the words.
    """
    taken: list[G] = []

    def subcommand(options: OptionGroup) -> None:
        taken.append(options)  # type: ignore[arg-type]

    subcommand.__annotations__ = {"options": group}
    app = typer.Typer()
    app.command()(takes_groups(subcommand))
    code = CliRunner().invoke(app, words).exit_code
    if code != 0:
        raise SystemExit(code)
    return taken[0]
