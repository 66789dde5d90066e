"""The command that produced a result, for the result itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def command_line(program: str, arguments: Iterable[str]) -> str:
    """The command to reproduce a result, without folders of this machine.

    Args:
        program: as it is typed: ``lc-trt``, ``python tools/bench_reuse.py``.
        arguments: as they were typed. Absolute paths, also those after ``--option=``, are cut to
            their last component, since the result may be shared.

    Returns:
        The command, quoted for a shell.
    """
    return f"{program} {shlex.join(map(_shortened, arguments))}".rstrip()


def _shortened(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if not (equals and option.startswith("--")):
        option = equals = ""
        value = argument
    path = Path(value)
    return f"{option}{equals}{path.name if path.is_absolute() else value}"
