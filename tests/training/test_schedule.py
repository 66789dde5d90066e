import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.training.config import Phase, Schedule
from lc_trt.training.schedule import RunSchedule, rate_factor


def curve(steps, **values):
    schedule = Schedule(**{"warmup": 0, **values})
    return [rate_factor(schedule, step, steps) for step in range(steps)]


def test_poly_is_the_schedule_of_deeplab():
    assert curve(4, power=2.0) == [1.0, 0.75**2, 0.5**2, 0.25**2]


def test_steps_drop_at_their_milestones():
    found = curve(10, name="step", milestones=(0.5, 0.8), gamma=0.1)
    assert found == pytest.approx([1] * 5 + [0.1] * 3 + [0.01] * 2)


def test_a_constant_rate_warms_up():
    assert curve(5, name="constant", warmup=4) == [0.25, 0.5, 0.75, 1.0, 1.0]


@given(
    st.sampled_from(["poly", "step", "constant"]),
    st.integers(1, 200),
    st.integers(0, 50),
    st.data(),
)
def test_a_rate_is_never_zero_and_never_above_the_peak(name, steps, warmup, data):
    step = data.draw(st.integers(0, steps - 1))
    assert 0 < rate_factor(Schedule(name=name, warmup=warmup), step, steps) <= 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 5))
def test_every_step_belongs_to_one_phase(epochs, steps_per_epoch):
    phases = [Phase(name=str(i), loss="deep", epochs=n) for i, n in enumerate(epochs)]
    schedule = RunSchedule(phases, steps_per_epoch)
    expected = [phase for phase in phases for _ in range(phase.epochs * steps_per_epoch)]
    assert [schedule.span_at(step).phase for step in range(schedule.steps)] == expected
    assert schedule.span_at(schedule.steps).phase is phases[-1]
    for step in range(schedule.steps):
        changes = step > 0 and expected[step] is not expected[step - 1]
        assert schedule.starts_phase(step) == schedule.ends_phase(step) == changes
        span = schedule.span_at(step)
        assert span.rate(step) == span.phase.optimizer.rate * rate_factor(
            span.phase.schedule, step - span.start, span.end - span.start
        )
    assert schedule.ends_phase(schedule.steps) and not schedule.starts_phase(schedule.steps)
