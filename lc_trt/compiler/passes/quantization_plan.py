"""Which tensors of a folded exchange model get a scale, and which convolutions run in INT8."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx

from lc_trt.compiler.graph import EditableGraph
from lc_trt.errors import UsageError
from lc_trt.ir.interface import DOMAIN

# Where the weight of a convolution stands among its inputs.
WEIGHT_AT = {("", "Conv"): 1, (DOMAIN, "RegionConv"): 4}
# Operators that only move values: their output keeps the scale of their data inputs.
_MOVES_ALL = {("", "Concat")}
_MOVES_FIRST = {("", "MaxPool"), (DOMAIN, "RegionGather"), (DOMAIN, "RegionRestrict")}


@dataclass(frozen=True)
class QuantizationPlan:
    """What a quantised form of a model is made of.

    Attributes:
        tensors: activations that calibration observes, in the order of the graph.
        groups: the tensors that share one scale, by tensor: what meets in a concatenation.
        convolutions: those that may run in INT8, by the tensor they make, in order: a dense form
            of the network calls its nodes otherwise, its tensors not.
        branches: those of ``tensors`` that go into an addition straight from a convolution.
    """

    tensors: tuple[str, ...]
    groups: dict[str, frozenset[str]]
    convolutions: tuple[str, ...]
    branches: frozenset[str]


def make_plan(model: onnx.ModelProto) -> QuantizationPlan:
    """The plan of a model whose batch norms are folded (`fold_affine.fold_affine`).

    Left out are classifiers, whose scores reach a Softmax without an activation between and
    decide where pixels leave, and what reads the image itself: it costs next to nothing and
    loses most by 8 bits of both signs.
    """
    graph = EditableGraph(model)
    sources = _sources(graph)
    left_out = _classifiers(graph) | _first(graph)
    convolutions = [
        node
        for node in graph.nodes
        if (node.domain, node.op_type) in WEIGHT_AT
        and node.input[WEIGHT_AT[node.domain, node.op_type]] in graph.constants
        and node.name not in left_out
    ]
    groups: dict[str, frozenset[str]] = {}
    for node in graph.nodes:
        if moves(node):
            _unite(groups, sources[node.output[0]])
    inputs: set[str] = set()
    for conv in convolutions:
        for name in sources[conv.input[0]]:
            inputs |= groups.get(name, frozenset({name}))
    made_by_conv = {conv.output[0] for conv in convolutions}
    branches = {
        name
        for node in graph.nodes
        if node.op_type == "Add" and node.domain == ""
        for name in node.input
        if name in made_by_conv
    }
    tensors = [
        output
        for node in graph.nodes
        for output in node.output
        if output in inputs or output in branches
    ]
    return QuantizationPlan(
        tuple(tensors),
        {name: groups.get(name, frozenset({name})) for name in tensors},
        tuple(conv.output[0] for conv in convolutions),
        frozenset(branches - inputs),
    )


def moves(node: onnx.NodeProto) -> bool:
    """Whether a node only moves values, so that it can move them quantised."""
    return (node.domain, node.op_type) in _MOVES_ALL | _MOVES_FIRST


def moved(node: onnx.NodeProto) -> list[str]:
    """The inputs whose values a moving node moves."""
    return list(node.input if (node.domain, node.op_type) in _MOVES_ALL else node.input[:1])


def wanted_tensors(
    model: onnx.ModelProto, plan: QuantizationPlan, keep: Collection[str]
) -> set[str]:
    """The tensors to quantise: inputs of all convolutions but ``keep``, with all that meet them."""
    graph = EditableGraph(model)
    sources = _sources(graph)
    convolutions = set(plan.convolutions) - set(keep)
    return {
        tensor
        for node in graph.nodes
        if not convolutions.isdisjoint(node.output)
        for source in sources[node.input[0]]
        for tensor in plan.groups.get(source, frozenset())
    }


def fingerprints(model: onnx.ModelProto, plan: QuantizationPlan) -> dict[str, str]:
    """For each tensor of the plan a hash of what computes it from the ones before.

    Of operators, attributes and weights: another model with tensors of the same names differs
    at the first one that is computed otherwise. Sizes do not count.
    """
    graph = EditableGraph(model)
    producers = {output: node for node in graph.nodes for output in node.output}
    found = {}
    for tensor in plan.tensors:
        digest = hashlib.sha256()
        todo, seen = [tensor], {*plan.tensors} - {tensor}
        while todo:
            name = todo.pop()
            node = producers.get(name)
            if name in graph.constants:
                value = graph.constants[name]
                digest.update(f"{value.dtype} {value.shape}".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
            elif node is not None and name not in seen:
                seen.add(name)
                digest.update(node.op_type.encode())
                # Where a region is does not belong to what is computed in it.
                if node.op_type != "RegionSelect":
                    for attribute in sorted(node.attribute, key=lambda a: a.name):
                        digest.update(attribute.SerializeToString(deterministic=True))
                    todo += reversed(node.input)
        found[tensor] = digest.hexdigest()[:16]
    return found


def layer(name: str) -> str:
    """The layer that a convolution belongs to: ``stage2/4/project`` for one."""
    return name.removesuffix("/conv")


def select_layers(plan: QuantizationPlan, patterns: tuple[str, ...]) -> frozenset[str]:
    """The convolutions of the named layers: a layer, or all whose path starts with the name.

    Raises:
        UsageError: a name that is no layer.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        path = pattern.strip("/")
        found = {n for n in plan.convolutions if f"{n.strip('/')}/".startswith(f"{path}/")}
        if not found:
            parts = sorted({n.strip("/").split("/")[0] for n in plan.convolutions})
            raise UsageError(
                f"--keep {pattern}: no layer of that name runs in INT8; expected a path such as "
                f"{layer(plan.convolutions[0])}, or the start of one ({', '.join(parts)})"
            )
        chosen |= found
    return frozenset(chosen)


def _sources(graph: EditableGraph) -> dict[str, frozenset[str]]:
    """For every tensor the tensors whose values it holds: itself, unless it was only moved."""
    found: dict[str, frozenset[str]] = {i.name: frozenset({i.name}) for i in graph.inputs}
    found |= {name: frozenset() for name in graph.constants}
    for node in graph.nodes:
        if moves(node):
            found[node.output[0]] = frozenset().union(*(found[n] for n in moved(node)))
        else:
            found |= {output: frozenset({output}) for output in node.output}
    return found


def _classifiers(graph: EditableGraph) -> set[str]:
    """Convolutions whose result is a Softmax's scores, or part of their sum."""
    producers = {output: node for node in graph.nodes for output in node.output}
    todo = [n.input[0] for n in graph.nodes if n.op_type == "Softmax"]
    found = set()
    while todo:
        node = producers.get(todo.pop())
        if node is not None and (node.domain, node.op_type) in WEIGHT_AT:
            found.add(node.name)
        elif node is not None and node.op_type in ("Add", "Resize", "Identity", "Transpose"):
            todo += node.input
    return found


def _first(graph: EditableGraph) -> set[str]:
    """Convolutions with none before them."""
    behind: set[str] = set()
    found = set()
    for node in graph.nodes:
        follows = any(name in behind for name in node.input)
        convolves = (node.domain, node.op_type) in WEIGHT_AT
        if convolves and not follows:
            found.add(node.name)
        if convolves or follows:
            behind.update(node.output)
    return found


def _unite(groups: dict[str, frozenset[str]], names: frozenset[str]) -> None:
    whole = names.union(*(groups.get(name, frozenset()) for name in names))
    for name in whole:
        groups[name] = whole
