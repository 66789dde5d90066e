"""Interleaved timing: who runs when, what counts, and by which clock."""

from __future__ import annotations

import pytest
from recording_monitor import RecordingMonitor

from lc_trt.utils import timing
from lc_trt.utils.timing import Lane, measure, percentiles, ratio, take_turns, timed


class Clock:
    """Moves only when somebody works."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(timing, "clock", fake)
    return fake


def working(name: str, clock: Clock, seconds: float, log: list[str] | None = None) -> Lane[str]:
    """A lane that takes so long, and its untimed pass a second."""

    def run(number: int) -> str:
        clock.now += seconds * (abs(number) + 1)
        if log is not None:
            log.append(f"{name}{number}")
        return f"{name}{number}"

    def before(number: int) -> None:
        clock.now += 1

    return Lane(name, run, before)


def test_a_call_is_timed_in_milliseconds_and_gives_its_result(clock: Clock) -> None:
    def work() -> str:
        clock.now += 0.25
        return "done"

    assert timed(work) == ("done", 250)


def test_the_order_moves_on_and_groups_keep_theirs(clock: Clock) -> None:
    log: list[str] = []
    groups = [[working(name, clock, 0, log) for name in group] for group in ("abc", "xy")]
    measure(groups, 3)
    assert "".join(entry[0] for entry in log) == "abcxy" + "bcayx" + "cabxy"
    assert [entry[1] for entry in log] == ["0"] * 5 + ["1"] * 5 + ["2"] * 5


def test_rounds_to_warm_up_and_untimed_passes_do_not_count(clock: Clock) -> None:
    results: list[str] = []
    slow, fast = working("s", clock, 2), working("f", clock, 1)
    slow.collect = results.append
    measure([[slow, fast]], rounds=2, warmup=2)
    assert slow.times == [2000, 4000] and fast.times == [1000, 2000]
    assert results == ["s0", "s1"]


def test_numbers_of_rounds_to_warm_up_are_negative(clock: Clock) -> None:
    log: list[str] = []
    measure([[working("a", clock, 0, log)]], rounds=2, warmup=2)
    assert log == ["a-2", "a-1", "a0", "a1"]


def test_another_timer_takes_the_place_of_the_clock(clock: Clock) -> None:
    """As on a GPU: each call is run twice and timed by an event of its own."""
    log: list[str] = []

    def timer(work):
        work()
        work()
        return 7.0

    lane = working("a", clock, 1, log)
    measure([[lane]], rounds=2, timer=timer)
    assert lane.times == [7, 7] and log == ["a0", "a0", "a1", "a1"]


def test_progress_counts_passes(clock: Clock) -> None:
    monitor = RecordingMonitor()
    lanes = [[working("a", clock, 1), working("b", clock, 1)], [working("c", clock, 1)]]
    measure(lanes, rounds=3, warmup=1, monitor=monitor, phase="timing")
    assert monitor.phases == {"timing": (12, 12)}


def test_a_round_yields_each_lane_after_it_ran(clock: Clock) -> None:
    lanes = [working("a", clock, 1), working("b", clock, 1)]
    order = [(lane.name, len(lane.times)) for lane in take_turns([lanes], 1)]
    assert order == [("b", 1), ("a", 1)]


def test_percentiles() -> None:
    result = percentiles([float(v) for v in range(101)])
    assert result == {"p50": 50, "p95": 95, "p99": 99}
    assert list(result) == ["p50", "p95", "p99"]
    assert percentiles([4.0]) == {"p50": 4, "p95": 4, "p99": 4}


def test_the_ratio_is_paired_in_a_round() -> None:
    # The machine is three times slower in the middle round, for both.
    assert ratio([20, 60, 22], [10, 30, 10]) == 2
    # The ratio of the medians would be 22 / 10.
    assert ratio([20, 60, 22], [10, 30, 10]) != pytest.approx(2.2)
