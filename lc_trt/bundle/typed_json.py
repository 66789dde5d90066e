"""A typed reader of JSON: dataclasses from what ``json.loads`` gives, or one line of refusal.

The types say what is read: dataclasses (generic ones too), ``X | None``, ``tuple[X, ...]``,
``tuple[X, Y]``, ``dict[str, X]``, the scalars, and ``Annotated[X, Rule(...)]`` for a range.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

D = TypeVar("D")
_SHOWN = 60  # characters of a value in a message
_SCALARS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


class JsonError(ValueError):
    """A value that cannot be read; the message continues a sentence about the file."""


@dataclass(frozen=True)
class Rule:
    """What a value has to be beyond its type.

    Attributes:
        holds: whether a value, already of its type, is one of them.
        expected: what is expected, in words, for the message.
    """

    holds: Callable[[Any], bool]
    expected: str


def at_least(least: int) -> Rule:
    """Whole numbers from ``least`` on."""
    return Rule(lambda value: value >= least, f"a whole number of at least {least}")


def between(least: float, most: float) -> Rule:
    """Numbers from ``least`` to ``most``, both included; never NaN."""
    return Rule(lambda value: least <= value <= most, f"a number from {least} to {most}")


def one_of(*values: str) -> Rule:
    """One of some texts."""
    return Rule(lambda value: value in values, " or ".join(values))


def matches(pattern: str, expected: str) -> Rule:
    """Text that a regular expression describes from its first to its last character."""
    return Rule(lambda value: re.fullmatch(pattern, value) is not None, expected)


def read(kind: type[D], value: Any, where: str = "") -> D:
    """A dataclass from a JSON object.

    Every field has to be there; what the class does not know is passed over.

    Args:
        kind: the dataclass.
        value: what ``json.loads`` gave.
        where: the path of ``value`` in its file, as in ``check.agreement``; empty at the top.

    Raises:
        JsonError: names the field, what was found and what was expected.
    """
    found: D = _read_object(kind, {}, value, where)
    return found


def refuse(where: str, value: Any, expected: str) -> JsonError:
    """The error for a value at a path that is not what was expected."""
    text = json.dumps(value)
    if len(text) > _SHOWN:
        text = f"{text[: _SHOWN - 3]}..."
    return JsonError(f"has {where} {text}, expected {expected}")


def _read(kind: Any, variables: dict[Any, Any], value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in variables:
        return _read(variables[kind], {}, value, where)
    if kind is Any:
        return value
    if origin is Annotated:
        inner, *rules = arguments
        found = _read(inner, variables, value, where)
        for rule in rules:
            if not rule.holds(found):
                raise refuse(where, value, rule.expected)
        return found
    if origin in (Union, UnionType):
        (inner,) = (a for a in arguments if a is not NoneType)
        return None if value is None else _read(inner, variables, value, where)
    if is_dataclass(origin or kind):
        return _read_object(kind, variables, value, where)
    if origin is tuple:
        return _read_list(arguments, variables, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise refuse(where, value, "an object")
        name, content = arguments
        return {
            _read(name, variables, k, where): _read(content, variables, v, f"{where}.{k}")
            for k, v in value.items()
        }
    # bool is an int to Python; a whole number is a float in JSON.
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise refuse(where, value, _SCALARS[kind])
    return value


def _read_object(kind: Any, variables: dict[Any, Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise refuse(where, value, "an object")
    cls = get_origin(kind) or kind
    if cls is not kind:  # Profile[int]
        known = (variables.get(a, a) for a in get_args(kind))
        variables = dict(zip(cls.__parameters__, known, strict=True))
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for entry in fields(cls):
        path = f"{where}.{entry.name}" if where else entry.name
        if entry.name not in value:
            raise JsonError(f"lacks {path!r}")
        found[entry.name] = _read(hints[entry.name], variables, value[entry.name], path)
    return cls(**found)


def _read_list(
    arguments: tuple[Any, ...], variables: dict[Any, Any], value: Any, where: str
) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise refuse(where, value, "a list")
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise refuse(where, value, f"a list of {len(arguments)}")
    pairs = zip(arguments, value, strict=True)
    return tuple(_read(a, variables, v, f"{where}[{i}]") for i, (a, v) in enumerate(pairs))
