"""Phases are reported step by step and end whatever happens within them."""

from __future__ import annotations

import pytest
from recording_monitor import RecordingMonitor

from lc_trt.utils.progress import SILENT


def test_steps_of_a_phase_add_up() -> None:
    monitor = RecordingMonitor()
    with monitor.phase("outer", 5) as outer, monitor.phase("inner", 2) as inner:
        outer(2)
        inner(1)
        outer(1)
        assert monitor.open == ["outer", "inner"]
    assert monitor.phases == {"outer": (5, 3), "inner": (2, 1)} and not monitor.open


def test_a_phase_ends_with_an_exception() -> None:
    monitor = RecordingMonitor()
    with pytest.raises(KeyboardInterrupt), monitor.phase("work", 2):
        raise KeyboardInterrupt
    assert not monitor.open


def test_items_are_steps_once_they_are_done_with() -> None:
    monitor = RecordingMonitor()
    done = [monitor.phases["reading"][1] for _ in monitor.track("reading", "abc")]
    assert done == [0, 1, 2]
    assert monitor.phases == {"reading": (3, 3)} and not monitor.open


def test_items_left_over_end_the_phase_too() -> None:
    monitor = RecordingMonitor()
    items = monitor.track("reading", "abc")
    assert next(items) == "a"
    del items
    assert monitor.phases == {"reading": (3, 0)} and not monitor.open


def test_without_a_monitor_nothing_happens() -> None:
    assert list(SILENT.track("reading", [1, 2])) == [1, 2]
    SILENT.warn("unheard")
