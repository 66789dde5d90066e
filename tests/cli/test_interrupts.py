"""Ctrl-C as a question: the first is noted and told, the second interrupts."""

from __future__ import annotations

import signal

import pytest

from lc_trt.cli.interrupts import interrupts


def test_the_first_is_told_and_the_second_interrupts(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts("stopping soon") as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err == "stopping soon\n"


def test_the_handler_before_comes_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="x"), interrupts("stopping"):
        raise ValueError("x")
    assert signal.getsignal(signal.SIGINT) is before
