"""Reads a training configuration from YAML, with overrides from the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lc_trt.errors import UsageError
from lc_trt.training.config import TrainConfig


def read_config(path: Path, overrides: Iterable[str] = ()) -> TrainConfig:
    """Read a training configuration.

    Args:
        path: the YAML file.
        overrides: ``FIELD=VALUE`` strings applied after the file. FIELD is a dotted path
            (``phases.0.epochs``), VALUE is YAML.

    Returns:
        The validated configuration.

    Raises:
        UsageError: no such file, not YAML, an unknown field, or a value out of range.
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
    for override in overrides:
        _apply(values, override)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{path}: {_reason(error.errors()[0])}") from None


def _apply(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not (name and equals):
        raise UsageError(f"--set {override!r}: expected FIELD=VALUE, as in augment.jitter=0.2")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {override!r}: not YAML ({_one_line(error)})") from error
    *parents, last = name.split(".")
    target: Any = values
    for key in parents:
        if isinstance(target, dict):
            target = target.setdefault(key, {})
        elif isinstance(target, list) and key.isdigit() and int(key) < len(target):
            target = target[int(key)]
        else:
            raise UsageError(f"--set {override!r}: no field {key!r} in the file's {name!r}")
    if isinstance(target, list) and last.isdigit() and int(last) < len(target):
        target[int(last)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise UsageError(f"--set {override!r}: no field {last!r} in the file's {name!r}")


def _reason(error: ErrorDetails) -> str:
    """pydantic's error as one line: field, value found, expectation."""
    field = ".".join(str(key) for key in error["loc"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(_siblings(error["loc"]))
        return f"unknown field {field!r}; expected one of {known}"
    if error["type"] == "missing":
        return f"lacks the field {field!r}"
    message = error["msg"].removeprefix("Value error, ")
    value = "" if isinstance(error["input"], dict) else f" {error['input']!r}"
    return f"{field}{value}: {message}" if field else message


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields beside an unknown one."""
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
    """List every field, each section followed by its fields (``phases.N.loss``).

    Args:
        section: the section to list.
        prefix: prepended to the names.

    Yields:
        Dotted name, default as YAML ("required" if there is none), and description.
    """
    nested = dict(_sections(section))
    for name, field in section.model_fields.items():
        inner = nested.get(name)
        repeated = get_origin(field.annotation) is tuple
        if inner is None:
            default = "required" if field.is_required() else _yaml(field.get_default())
        else:
            default = ""
        yield prefix + name, default, field.description or ""
        if inner is not None:
            yield from fields(inner, f"{prefix}{name}.N." if repeated else f"{prefix}{name}.")


def _yaml(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True)
    return text.removesuffix("...\n").strip()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
