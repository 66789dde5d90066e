"""A run's YAML file and what the command line changes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lc_trt.errors import UsageError
from lc_trt.training.config import TrainConfig


def read_config(path: Path, changes: Iterable[str] = ()) -> TrainConfig:
    """The configuration in a YAML file.

    Args:
        changes: ``FIELD=VALUE`` each, with dots and numbers into what is nested
            (``phases.0.epochs=3``) and the value in YAML; they come after the file.

    Raises:
        UsageError: no such file, not YAML, an unknown field, a value out of its range.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such file; expected a training configuration, as in configs/"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({_one_line(error)})") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: {type(values).__name__}, expected fields and values")
    for change in changes:
        _change(values, change)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{path}: {_reason(error.errors()[0])}") from None


def _change(values: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    if not (name and equals):
        raise UsageError(f"--set {change!r}: expected FIELD=VALUE, as in augment.jitter=0.2")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {change!r}: not YAML ({_one_line(error)})") from error
    *parents, last = name.split(".")
    place: Any = values
    for key in parents:
        if isinstance(place, dict):
            place = place.setdefault(key, {})
        elif isinstance(place, list) and key.isdigit() and int(key) < len(place):
            place = place[int(key)]
        else:
            raise UsageError(f"--set {change!r}: no field {key!r} in the file's {name!r}")
    if isinstance(place, list) and last.isdigit() and int(last) < len(place):
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UsageError(f"--set {change!r}: no field {last!r} in the file's {name!r}")


def _reason(error: ErrorDetails) -> str:
    """One sentence of pydantic's account: where, what was found, what is wrong with it."""
    place = ".".join(str(key) for key in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(_siblings(error["loc"]))
        return f"unknown field {place!r}; expected one of {known}"
    if error["type"] == "missing":
        return f"lacks the field {place!r}"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if isinstance(error["input"], dict) else f" {error['input']!r}"
    return f"{place}{found}: {message}" if place else message


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """The fields of the section that an unknown one was found in."""
    section: type[BaseModel] = TrainConfig
    for key in loc[:-1]:
        if isinstance(key, str):
            section = next(s for name, s in _sections(section) if name == key)
    return list(section.model_fields)


def _sections(section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in section.model_fields.items():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield name, kind


def fields(
    section: type[BaseModel] = TrainConfig, prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of every field, nested ones after theirs (``phases.N.loss``)."""
    nested = dict(_sections(section))
    for name, field in section.model_fields.items():
        inner = nested.get(name)
        many = inner is not None and field.annotation is not inner
        if inner is None:
            default = "required" if field.is_required() else _yaml(field.get_default())
        else:
            default = ""
        yield prefix + name, default, field.description or ""
        if inner is not None:
            yield from fields(inner, f"{prefix}{name}.N." if many else f"{prefix}{name}.")


def _yaml(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True)
    return text.removesuffix("...\n").strip()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
