"""The command that made a result, as it is written into the result."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def command_line(program: str, arguments: Iterable[str]) -> str:
    """What to type to get a result again, naming no folder of this machine.

    Args:
        program: what is run, as it is typed: ``lc-trt``, ``python tools/bench_reuse.py``.
        arguments: as they were given. Absolute paths, also those after ``--option=``, are cut to
            their last part, since the result may be shared.
    """
    return f"{program} {shlex.join(map(_shortened, arguments))}".rstrip()


def _shortened(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if not (equals and option.startswith("--")):
        option = equals = ""
        value = argument
    path = Path(value)
    return f"{option}{equals}{path.name if path.is_absolute() else value}"
