from __future__ import annotations

import ctypes
import re
from pathlib import Path

from lc_trt.runtime.native.operator import MAX_INPUTS, Kind, OperatorRecord


def header(repository: Path) -> str:
    return (repository / "plugins" / "cpu" / "lc_trt_cpu.h").read_text()


def test_kinds_are_those_of_the_header(repository: Path) -> None:
    names = {kind.name: int(kind) for kind in Kind}
    found = re.findall(r"^    LCT_CPU_(\w+) = (\d+)", header(repository), re.MULTILINE)
    assert {name: int(value) for name, value in found} == names


def test_fields_are_those_of_the_header(repository: Path) -> None:
    (body,) = re.findall(r"typedef struct \{([^}]*)\} lct_cpu_op;", header(repository))
    text = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    names = []
    for declaration in text.split(";"):
        words = declaration.replace("*", " ").replace("const", "").split(maxsplit=1)
        if words:
            names += [re.sub(r"\[.*", "", name.strip()) for name in words[1].split(",")]
    assert names == [field[0] for field in OperatorRecord._fields_]
    assert f"#define LCT_CPU_MAX_SEGMENTS {MAX_INPUTS}" in header(repository)
    assert ctypes.sizeof(OperatorRecord) % 8 == 0
