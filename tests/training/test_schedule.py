import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.training.config import Schedule
from lc_trt.training.schedule import factor


def curve(steps, **values):
    schedule = Schedule(**{"warmup": 0, **values})
    return [factor(schedule, step, steps) for step in range(steps)]


def test_poly_is_deeplabs():
    assert curve(4, power=2.0) == [1.0, 0.75**2, 0.5**2, 0.25**2]


def test_steps_drop_at_their_milestones():
    found = curve(10, name="step", milestones=(0.5, 0.8), gamma=0.1)
    assert found == pytest.approx([1] * 5 + [0.1] * 3 + [0.01] * 2)


def test_constant_stays_and_warms_up():
    assert curve(5, name="constant", warmup=4) == [0.25, 0.5, 0.75, 1.0, 1.0]


@given(
    st.sampled_from(["poly", "step", "constant"]),
    st.integers(1, 200),
    st.integers(0, 50),
    st.data(),
)
def test_a_rate_is_never_zero_and_never_above_the_peak(name, steps, warmup, data):
    step = data.draw(st.integers(0, steps - 1))
    assert 0 < factor(Schedule(name=name, warmup=warmup), step, steps) <= 1
