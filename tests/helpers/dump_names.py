"""Dump the names of a TensorRT package as JSON: attributes by class, with signatures.

Run as a script, in a process of its own: ``python dump_names.py PACKAGE``.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def first_lines(value: Any) -> str:
    """The signatures that pybind11 puts at the top of a help text."""
    text = getattr(value, "__doc__", None)
    return text.partition("\n\n\n")[0] if isinstance(text, str) else ""


def main(package: str) -> dict[str, Any]:
    """Attributes by name of a class; None if it is no class."""
    module = importlib.import_module(package)
    found: dict[str, Any] = {}
    for name in dir(module):
        value = getattr(module, name)
        members = {key: first_lines(getattr(value, key)) for key in dir(value)}
        found[name] = members if isinstance(value, type) else None
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
