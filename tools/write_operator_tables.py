"""Writes the tables of the region operators into documents, from `lc_trt.ir.region_ops`.

    python tools/write_operator_tables.py          # rewrites outdated tables
    python tools/write_operator_tables.py --check  # lists them instead, and exits with 1

The README of each plugin has the table of its operator, docs/exchange-format.md a table of all
operators of the exchange format. A table is between two comments; the text around it is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from onnx import TensorProto

from lc_trt.ir.operator_schema import (
    EXCHANGE,
    MAX_SEGMENTS,
    Attribute,
    RegionOperator,
    Tensor,
    Types,
)
from lc_trt.ir.region_ops import EXCHANGE_OPERATORS, OPERATORS, REGION_SELECT
from lc_trt.utils.files import atomic_write

ROOT = Path(__file__).parents[1]
BEGIN = "<!-- table: python tools/write_operator_tables.py -->"
END = "<!-- end of the table -->"
# Inputs of region_ops.Region have no shape in the table of the exchange format.
REGION = ("rows", "index", "count")
NAMES = {
    TensorProto.FLOAT: "FP32", TensorProto.FLOAT16: "FP16", TensorProto.BFLOAT16: "BF16",
    TensorProto.INT8: "INT8", TensorProto.INT32: "INT32", TensorProto.BOOL: "BOOL",
}  # fmt: skip


def listed(names: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def types_text(types: Types) -> str:
    """Description of the allowed types."""
    if types.by is not None:
        return f"by `{types.by}`"
    names = [f"as `{types.same_as}`"] if types.same_as else []
    return listed(names + [NAMES[kind] for kind in types.allowed])


def tensor_row(direction: str, tensor: Tensor, *, int8: bool) -> str:
    """A row of a plugin's table of tensors."""
    name = f"`{tensor.name}`"
    if tensor.variadic:
        name += f", 1 to {MAX_SEGMENTS}"
    shape = "; ".join(filter(None, (tensor.shape, tensor.note)))
    cells = [direction, name, shape, "none" if tensor.int8_only else types_text(tensor.types)]
    if int8:
        cells.append(types_text(tensor.int8 or tensor.types))
    return f"| {' | '.join(cells)} |"


def attribute_row(attribute: Attribute) -> str:
    """A row of a plugin's table of attributes."""
    kind: str = attribute.kind
    if attribute.kind == "ints":
        kind += f" [{attribute.length}]" if attribute.length else ", one per `x`; all channels"
    elif attribute.default is not None:
        kind += f", {attribute.default:g}"
    return f"| `{attribute.name}` | {kind} | {attribute.note} |"


def plugin_table(operator: RegionOperator) -> str:
    """Inputs, outputs and attributes of a plugin."""
    tensors = (*operator.inputs, *operator.outputs)
    int8 = any(tensor.int8 or tensor.int8_only for tensor in tensors)
    head = ["", "name", "shape", "type", *(["type where `x` is INT8"] if int8 else [])]
    lines = [
        f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in head)}|",
        "|---" * len(head) + "|",
    ]
    for direction, group in (("input", operator.inputs), ("output", operator.outputs)):
        lines += [tensor_row(direction, tensor, int8=int8) for tensor in group]
    if operator.attributes:
        lines += ["", "| attribute | type, default | meaning |", "|---|---|---|"]
        lines += map(attribute_row, operator.attributes)
    return "\n".join(lines)


def tensor_text(tensor: Tensor) -> str:
    """A tensor in a row of the exchange format's table."""
    shape = None if tensor.name in REGION else tensor.shape
    # Notes on variadic inputs do not apply, and RegionSelect's outputs are described in the text.
    noted = tensor.note and not tensor.variadic and tensor not in REGION_SELECT.outputs
    return " ".join(filter(None, (tensor.name, shape, f"({tensor.note})" if noted else None)))


def attribute_text(attribute: Attribute) -> str:
    """An attribute in a row of the exchange format's table."""
    default = "" if attribute.default is None else f" = {attribute.default:g}"
    return f"`{attribute.name}`{default} ({attribute.note})"


def exchange_table() -> str:
    """Table of all operators of the exchange format."""
    lines = ["| operator | inputs -> outputs | attributes | meaning |", "|---|---|---|---|"]
    for operator in EXCHANGE_OPERATORS:
        inputs = ", ".join(map(tensor_text, operator.inputs_of(EXCHANGE)))
        outputs = ", ".join(map(tensor_text, operator.outputs))
        attributes = "; ".join(map(attribute_text, operator.attributes_of(EXCHANGE)))
        cells = (operator.name, f"{inputs} -> {outputs}", attributes or "none", operator.summary)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def tables() -> dict[Path, str]:
    """The table of each document."""
    plugins = {
        ROOT / "plugins" / folder_of(operator) / "README.md": plugin_table(operator)
        for operator in OPERATORS.values()
    }
    return {ROOT / "docs" / "exchange-format.md": exchange_table(), **plugins}


def folder_of(operator: RegionOperator) -> str:
    """``region_max_pool`` for RegionMaxPool."""
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in operator.name)
    return words.removeprefix("_")


def with_table(text: str, table: str) -> str:
    """A document with its table replaced."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"no {BEGIN!r} followed by {END!r}")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Rewrite or check all documents; return the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python tools/write_operator_tables.py [--check]", file=sys.stderr)
        return 2
    stale = 0
    for path, table in tables().items():
        text = path.read_text()
        if (changed := with_table(text, table)) == text:
            continue
        stale += 1
        if arguments:
            print(f"{path.relative_to(ROOT)}: out of date; python tools/write_operator_tables.py")
        else:
            atomic_write(path, changed.encode(), "check the checkout's permissions")
    return int(bool(arguments) and stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
