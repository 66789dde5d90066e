"""Ctrl-C as a question: the first is noted and told, the second interrupts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lc_trt.cli.interrupts import interrupts


@pytest.fixture(params=["default", "ignored"])
def before(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What Ctrl-C did: it interrupts a job in the foreground, and nothing in the background."""
    kinds = {"default": signal.default_int_handler, "ignored": signal.SIG_IGN}
    outside = signal.signal(signal.SIGINT, kinds[request.param])
    yield kinds[request.param]
    signal.signal(signal.SIGINT, outside)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_told_and_the_second_interrupts(
    before: Any, capsys: pytest.CaptureFixture[str], first: signal.Signals, second: signal.Signals
) -> None:
    terminate = signal.getsignal(signal.SIGTERM)
    with interrupts("stopping soon") as stop:
        assert not stop()
        signal.raise_signal(first)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGTERM) is terminate
    assert capsys.readouterr().err == "stopping soon\n"


def test_the_handler_before_comes_back_after_an_error(before: Any) -> None:
    with pytest.raises(ValueError, match="x"), interrupts("stopping"):
        raise ValueError("x")
    assert signal.getsignal(signal.SIGINT) is before
