"""Composes the signature of a subcommand from groups of options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, dataclass, fields
from operator import getitem
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

from typer.models import OptionInfo


@dataclass(frozen=True)
class OptionGroup:
    """Base of the groups: frozen dataclasses whose fields are typer ``Annotated`` options.

    A field without a default is a required option. Methods of a group parse its texts and build
    objects of the library, so that their errors name the option.

    Attributes:
        PANEL: heading of the group's options in ``--help``.
    """

    PANEL: ClassVar[str] = "Options"


def takes_groups(function: Callable[..., None]) -> Callable[..., None]:
    """Let a subcommand take objects of option groups, and typer see their options.

    Args:
        function: a parameter that is annotated with an `OptionGroup` stands for the group's
            fields; the others are the subcommand's own options and arguments.

    Returns:
        A function of keyword arguments, one per option, in whose ``__signature__`` the groups are
        replaced by their fields.

    Example:
        >>> @takes_groups
        ... def check(model: Annotated[Path, typer.Argument()], hardware: Hardware) -> None:
        ...     print(hardware.threads)
        >>> list(inspect.signature(check).parameters)
        ['model', 'threads', 'device']
    """
    groups: dict[str, type[OptionGroup]] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if isinstance(hint, type) and issubclass(hint, OptionGroup):
            groups[name] = hint
            parameters += _parameters(hint)
        else:
            parameters.append(parameter.replace(annotation=hint, kind=parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**values: Any) -> None:
        objects = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        function(**values, **objects)

    # Refuses a name that two groups have.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _parameters(group: type[OptionGroup]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=_in_panel(hints[field.name], group.PANEL),
        )


def _in_panel(annotation: Any, panel: str) -> Any:
    kind, option = get_args(annotation)
    assert isinstance(option, OptionInfo), "a field of a group is an option"
    option = copy(option)
    option.rich_help_panel = panel
    return getitem(Annotated, (kind, option))
