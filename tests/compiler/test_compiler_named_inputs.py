"""Compiler passes read a node's inputs and outputs by name, never by number.

`lc_trt.ir.node_view` knows the order; ``output[0]`` may stand for the tensor that a node makes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lc_trt.ir.region_ops import OPERATORS

ROOT = Path(__file__).parents[2] / "lc_trt"
FILES = sorted(
    path
    for folder in ("compiler", "ir", "quantization", "trt")
    for path in (ROOT / folder).rglob("*.py")
)


def by_number(tree: ast.AST) -> Iterator[ast.AST]:
    """Places that count inputs or outputs: ``node.input[1]``, ``a, b = node.input`` and alike."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_tensors(node.value):
            index = node.slice
            if isinstance(index, ast.Slice):
                parts = [part for part in (index.lower, index.upper) if part is not None]
                if any(map(_is_literal, parts)):
                    yield node
            elif _is_literal(index):
                first = isinstance(index, ast.Constant) and index.value == 0
                if not (first and node.value.attr == "output"):
                    yield node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            targets = node.targets[0].elts
            nested = len(values) == len(targets)
            for value, target in zip(values, targets if nested else [node.targets[0]], strict=True):
                unpacks = isinstance(target, ast.Tuple) or not nested or len(values) == 1
                if _is_tensors(value) and unpacks:
                    yield node


def _is_tensors(node: ast.AST) -> bool:
    """Whether an expression is the inputs or outputs of a node (those of a graph are others)."""
    if not isinstance(node, ast.Attribute) or node.attr not in ("input", "output"):
        return False
    owner = node.value
    return not (isinstance(owner, ast.Attribute) and owner.attr == "graph")


def _is_literal(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_literal(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_input_is_read_by_number(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert [f"{node.lineno}: {ast.unparse(node)}" for node in by_number(tree)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_operators_are_named_by_their_schema(path: Path) -> None:
    if path.name == "region_ops.py":
        return
    constants = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)]
    assert {n.lineno: n.value for n in constants if n.value in OPERATORS} == {}


@pytest.mark.parametrize(
    "line",
    [
        "node.input[0]", "node.input[-1]", "node.input[1:]", "conv.node.input[:2]",
        "x, rows = node.input", "x, *rest = node.input", "(x, _), (y,) = node.input, node.output",
        "node.input[4] = name", "node.output[3]", "rows, index, *_ = node.output",
    ],
)  # fmt: skip
def test_reading_by_number_is_found(line: str) -> None:
    assert list(by_number(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "node.output[0]", "node.input[i] = name", "for i, name in enumerate(node.input): pass",
        "model.graph.input[0]", "renamed[name] = node.input", "del model.graph.output[:]",
    ],
)  # fmt: skip
def test_reading_by_name_is_allowed(line: str) -> None:
    assert not list(by_number(ast.parse(line)))
