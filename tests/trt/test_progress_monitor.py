"""TensorRT's phases as our progress, and exceptions that wait until TensorRT has returned."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from recording_monitor import RecordingMonitor

from lc_trt.trt.api import TensorRT
from lc_trt.trt.progress_monitor import Stop, make_monitor
from lc_trt.utils.progress import ProgressMonitor


def monitor(show: ProgressMonitor, stop: Stop) -> Any:
    module = SimpleNamespace(IProgressMonitor=object)
    return make_monitor(TensorRT("tensorrt", "11.4.0", module, object(), []), show, stop)


def test_phases_nest_and_steps_are_counted_from_one() -> None:
    show = RecordingMonitor()
    shown = monitor(show, Stop())
    shown.phase_start("Building engine", None, 2)
    shown.phase_start("Tactics", "Building engine", 3)
    assert shown.step_complete("Tactics", 0) and shown.step_complete("Tactics", 2)
    assert show.open == ["Building engine", "Tactics"]
    shown.phase_finish("Tactics")
    shown.phase_finish("Building engine")
    assert show.phases == {"Building engine": (2, 0), "Tactics": (3, 3)} and not show.open


class Interrupted(ProgressMonitor):
    """Ctrl-C at one method, and another error at each later call."""

    def __init__(self, method: str) -> None:
        self.calls = 0
        setattr(self, method, self._raise)

    def _raise(self, *_: object) -> None:
        self.calls += 1
        raise KeyboardInterrupt if self.calls == 1 else ZeroDivisionError


@pytest.mark.parametrize("method", ["start", "done", "finish"])
def test_an_exception_cancels_the_build_and_is_raised_afterwards(method: str) -> None:
    stop, show = Stop(), Interrupted(method)
    shown = monitor(show, stop)
    shown.phase_start("Tactics", None, 1)
    assert shown.step_complete("Tactics", 0) == (method == "finish")
    shown.phase_finish("Tactics")
    assert not shown.step_complete("Tactics", 1), "TensorRT asks again while it winds up"
    assert show.calls == 1
    with pytest.raises(KeyboardInterrupt):
        stop.reraise()


def test_without_an_exception_nothing_is_raised() -> None:
    stop, called = Stop(), []
    assert stop.call(called.append, 1) and stop.call(called.append, 2)
    stop.reraise()
    assert called == [1, 2]
