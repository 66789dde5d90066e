"""A result for people or as JSON."""

from __future__ import annotations

import json

import pytest
from parsed_options import parsed

from lc_trt.cli import console
from lc_trt.cli.option_groups.output import Output

VALUES = {"model": "a [b]", "shares": [0.5, None]}


def test_people_get_lines_and_tables_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    line = "a [bold]long[/bold] line " + "word " * 60
    parsed(Output).print(VALUES, console.table(("name",), [("one",)]), line, "two\nlines")
    shown = capsys.readouterr().out
    assert shown.index("one") < shown.index(line), "neither markup nor wrapped"
    assert shown.endswith(f"{line}\ntwo\nlines\n") and "model" not in shown


def test_programs_get_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    parsed(Output, "--json").print(VALUES, "a line", console.table(("name",), [("one",)]))
    assert json.loads(capsys.readouterr().out) == VALUES


def test_without_text_people_get_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    parsed(Output).print(VALUES)
    assert capsys.readouterr().out == ""
