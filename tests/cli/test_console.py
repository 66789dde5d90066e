"""What the subcommands print with."""

from __future__ import annotations

import pytest

from lc_trt.cli import console


def test_messages_keep_brackets_and_stay_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    message = "needs [train] " + "word " * 80
    console.warn(message)
    assert capsys.readouterr().err == f"warning: {message}\n"


def test_table_sets_numbers_right_and_keeps_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    table = console.table(("name", "fps"), [("dense [fp32]", "5.5"), ("fast", "12.25")], "Speed")
    console.out().print(table)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].strip() == "Speed"
    assert " dense [fp32]     5.5" in lines
    assert " fast           12.25" in lines


def test_table_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    wide = ["x" * 15] * 8
    console.out().print(console.table([str(i) for i in range(8)], [wide]))
    assert capsys.readouterr().out.count("x" * 15) == 8


def test_progress_draws_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("building", 3) as advance:
        for _ in range(3):
            advance(1)
    assert capsys.readouterr() == ("", "")
