"""Dataclasses from JSON, and the line that says why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.bundle.typed_json import JsonError, at_least, matches, one_of, read

T = TypeVar("T")


@dataclass(frozen=True)
class Pair(Generic[T]):
    left: T
    right: T


@dataclass(frozen=True)
class Inner:
    name: Annotated[str, matches("[a-z]+", "lower-case letters")]
    share: float


@dataclass(frozen=True)
class Outer:
    inner: Inner | None
    inners: tuple[Inner, ...]
    pair: Pair[Annotated[int, at_least(1)]]
    sizes: dict[str, tuple[int, int]]
    kind: Annotated[str, one_of("a", "b")]
    flag: bool
    anything: Any


GOOD: dict[str, Any] = {
    "inner": {"name": "x", "share": 1},
    "inners": [{"name": "y", "share": 0.5}],
    "pair": {"left": 1, "right": 2},
    "sizes": {"s": [3, 4]},
    "kind": "a",
    "flag": True,
    "anything": {"a": [1, None]},
}


def test_types_nest() -> None:
    assert read(Outer, GOOD) == Outer(
        Inner("x", 1.0), (Inner("y", 0.5),), Pair(1, 2), {"s": (3, 4)}, "a", True, {"a": [1, None]}
    )
    assert read(Outer, {**GOOD, "inner": None}).inner is None
    assert type(read(Inner, GOOD["inner"]).share) is float


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner": {"name": "X", "share": 1}}, 'has inner.name "X", expected lower-case letters'),
        ({"inner": {"name": "x"}}, "lacks 'inner.share'"),
        ({"inner": {"name": "x", "share": True}}, "has inner.share true, expected a number"),
        ({"inners": {"0": 1}}, 'has inners {"0": 1}, expected a list'),
        ({"inners": [GOOD["inner"], 5]}, "has inners[1] 5, expected an object"),
        (
            {"pair": {"left": 1, "right": 0}},
            "has pair.right 0, expected a whole number of at least",
        ),
        ({"pair": {"left": 1.5, "right": 2}}, "has pair.left 1.5, expected a whole number"),
        ({"sizes": {"s": [3]}}, "has sizes.s [3], expected a list of 2"),
        ({"sizes": []}, "has sizes [], expected an object"),
        ({"kind": "c"}, 'has kind "c", expected a or b'),
        ({"flag": 1}, "has flag 1, expected true or false"),
        ({"flag": "x" * 500}, f'has flag "{"x" * 56}..., expected true or false'),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(JsonError) as caught:
        read(Outer, {**GOOD, **changes})
    assert str(caught.value).startswith(message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(sorted(GOOD)), value=JSON)
def test_anything_is_read_or_refused_in_one_line(field: str, value: Any) -> None:
    try:
        read(Outer, {**GOOD, field: value})
    except JsonError as error:
        assert "\n" not in str(error) and field in str(error)
