"""Output of the subcommands."""

from __future__ import annotations

import io
import logging
import time

import pytest
from terminals import screen

from lc_trt.cli import console

__all__ = ["screen"]


def test_messages_keep_brackets_and_stay_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    message = "needs [train] " + "word " * 80
    console.warn(message)
    assert capsys.readouterr().err == f"warning: {message}\n"


def test_table_sets_numbers_right_and_keeps_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    table = console.table(("name", "fps"), [("dense [fp32]", "5.5"), ("fast", "12.25")], "Speed")
    console.show(table)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].strip() == "Speed"
    assert " dense [fp32]     5.5" in lines
    assert " fast           12.25" in lines


def test_table_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    wide = ["x" * 15] * 8
    console.show(console.table([str(i) for i in range(8)], [wide]))
    assert capsys.readouterr().out.count("x" * 15) == 8


def test_progress_draws_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with console.BarMonitor().phase("building", 3) as advance:
        for _ in range(3):
            advance(1)
    assert capsys.readouterr() == ("", "")


def test_phases_have_bars_of_their_own_until_they_end(screen: io.StringIO) -> None:
    monitor = console.BarMonitor()
    with monitor.phase("building", 4) as build:
        build(2)
        with (
            monitor.phase("Building engine", 6),
            monitor.phase("Timing graph nodes", 20) as advance,
        ):
            advance(5)
            time.sleep(0.3)  # a terminal is drawn a few times per second
            within = screen.getvalue()
        monitor.finish("never begun")
    last = screen.getvalue()[len(within) :]
    assert "Timing graph nodes" in within and "5/20" in within and "2/4" in within
    assert "Timing graph nodes" not in last.rpartition("building")[2]
    # The next work gets bars of its own.
    assert list(monitor.track("checking", "ab")) == ["a", "b"]
    assert "2/2" in screen.getvalue().rpartition("checking")[2]


@pytest.mark.parametrize("shown", [False, True])
def test_what_the_package_logs_is_shown_on_request(
    shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("lc_trt.compiler")
    with console.log(shown):
        logger.debug("to_dense: %d rewritten", 3)
    logger.debug("too late")
    assert capsys.readouterr().err == ("to_dense: 3 rewritten\n" if shown else "")


def test_a_monitor_prints_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    console.BarMonitor().warn("slow")
    assert capsys.readouterr().err == "warning: slow\n"
