"""A typed JSON reader: converts the values of ``json.loads`` to dataclasses, or raises.

Supported types: dataclasses (also generic), ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y]``,
``dict[str, X]``, scalars, and ``Annotated[X, Rule(...)]`` for constraints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

D = TypeVar("D")
_MAX_CHARACTERS = 60  # of a value in a message
_SCALARS = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


class JsonError(ValueError):
    """An invalid value. The message starts with a verb, to follow the file name."""


@dataclass(frozen=True)
class Rule:
    """A constraint on a value beyond its type.

    Attributes:
        holds: whether a value of the right type satisfies it.
        expected: description of valid values, for messages.
    """

    holds: Callable[[Any], bool]
    expected: str


def at_least(least: int) -> Rule:
    """Constraint: a whole number of at least ``least``.

    Args:
        least: smallest valid value.
    """
    return Rule(lambda value: value >= least, f"a whole number of at least {least}")


def between(least: float, most: float) -> Rule:
    """Constraint: a number from ``least`` to ``most``, both included; never NaN.

    Args:
        least: smallest valid value.
        most: largest valid value.
    """
    return Rule(lambda value: least <= value <= most, f"a number from {least} to {most}")


def one_of(*values: str) -> Rule:
    """Constraint: one of several strings.

    Args:
        *values: the valid ones.
    """
    return Rule(lambda value: value in values, " or ".join(values))


def matches(pattern: str, expected: str) -> Rule:
    """Constraint: a string that a regular expression matches in full.

    Args:
        pattern: regular expression.
        expected: description of valid values, for messages.
    """
    return Rule(lambda value: re.fullmatch(pattern, value) is not None, expected)


def read(kind: type[D], value: Any, where: str = "") -> D:
    """Convert a JSON object to a dataclass.

    Every field is required; unknown keys are ignored.

    Args:
        kind: the dataclass.
        value: JSON value, as `json.loads` returns it.
        where: path of ``value`` in its file, such as ``check.agreement``; empty at the top.

    Raises:
        JsonError: names the field, the value found and what was expected.
    """
    result: D = _read_object(kind, {}, value, where)
    return result


def refuse(where: str, value: Any, expected: str) -> JsonError:
    """Create the error for an invalid value.

    Args:
        where: path of the value in its file.
        value: JSON value.
        expected: description of valid values.
    """
    text = json.dumps(value)
    if len(text) > _MAX_CHARACTERS:
        text = f"{text[: _MAX_CHARACTERS - 3]}..."
    return JsonError(f"has {where} {text}, expected {expected}")


def _read(kind: Any, variables: dict[Any, Any], value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in variables:
        return _read(variables[kind], {}, value, where)
    if kind is Any:
        return value
    if origin is Annotated:
        inner, *rules = arguments
        result = _read(inner, variables, value, where)
        for rule in rules:
            if not rule.holds(result):
                raise refuse(where, value, rule.expected)
        return result
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
    # Exact types, because bool is an int in Python. A JSON float may be written as an integer.
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
    arguments = {}
    for entry in fields(cls):
        path = f"{where}.{entry.name}" if where else entry.name
        if entry.name not in value:
            raise JsonError(f"lacks {path!r}")
        arguments[entry.name] = _read(hints[entry.name], variables, value[entry.name], path)
    return cls(**arguments)


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
