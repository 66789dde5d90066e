"""Which tensors of a folded exchange model get a scale, and which convolutions run in INT8."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.convolution import Convolution, convolution
from lc_trt.errors import UsageError
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.region_ops import REGION_GATHER, REGION_RESTRICT, REGION_SELECT, is_region


@dataclass(frozen=True)
class QuantizationPlan:
    """What a quantised form of a model consists of.

    Attributes:
        tensors: activations that calibration observes, in the order of the graph.
        groups: the tensors that share one scale, by tensor: what meets in a concatenation.
        convolutions: those that may run in INT8, by the tensor they make, in order: a dense form
            of the network calls its nodes otherwise, its tensors not.
        branches: those of ``tensors`` that go into an addition straight from a convolution.
        excluded: why a convolution stays in floating point, by the tensor it makes.
    """

    tensors: tuple[str, ...]
    groups: dict[str, frozenset[str]]
    convolutions: tuple[str, ...]
    branches: frozenset[str]
    excluded: dict[str, str] = field(default_factory=dict)


def make_plan(graph: Graph) -> QuantizationPlan:
    """The plan of a model whose batch norms are folded (`fold_batch_norm.FoldBatchNorm`).

    Left out are classifiers, whose scores reach a Softmax without an activation between and
    decide where pixels leave, and what reads the image itself: it costs next to nothing and
    loses most by 8 bits of both signs.

    Args:
        graph: is only read.
    """
    sources = _sources(graph)
    excluded: dict[str, str] = {}
    convolutions: list[Convolution] = []
    classifiers, first = _classifiers(graph), _first(graph)
    for node in graph.nodes:
        conv = convolution(node)
        if conv is None:
            continue
        if conv.weight not in graph.constants:
            excluded[conv.output_name] = "its weight is not a constant"
        elif conv.output_name in classifiers:
            excluded[conv.output_name] = "it is a classifier, whose scores reach a Softmax"
        elif conv.output_name in first:
            excluded[conv.output_name] = "it reads the image"
        else:
            convolutions.append(conv)
    groups: dict[str, frozenset[str]] = {}
    for node in graph.nodes:
        if moves(node):
            _unite(groups, sources[node.output[0]])
    inputs: set[str] = set()
    for conv in convolutions:
        for name in sources[conv.x]:
            inputs |= groups.get(name, frozenset({name}))
    convolved = {conv.output_name for conv in convolutions}
    branches = {
        name
        for node in graph.nodes
        if node.op_type == "Add" and node.domain == ""
        for name in node.input
        if name in convolved
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
        tuple(conv.output_name for conv in convolutions),
        frozenset(branches - inputs),
        excluded,
    )


def moves(node: onnx.NodeProto) -> bool:
    """Whether a node only moves values, so that it can move them quantised.

    Args:
        node: of any operator.
    """
    return _joins(node) or (node.domain, node.op_type) == ("", "MaxPool") or _selects(node)


def moved(node: onnx.NodeProto) -> list[str]:
    """The inputs whose values a moving node moves; its output keeps their scale.

    Args:
        node: one that `moves` holds for.
    """
    view = NodeView(node)
    if _joins(node):
        return view.inputs("inputs")
    return [view.input("x" if _selects(node) else "X")]


def set_moved(node: onnx.NodeProto, tensors: list[str]) -> None:
    """Let a moving node move other tensors.

    Args:
        node: one that `moves` holds for.
        tensors: as many as `moved` returns.
    """
    view = NodeView(node)
    if _joins(node):
        view.set_inputs("inputs", tensors)
    else:
        (tensor,) = tensors
        view.set_input("x" if _selects(node) else "X", tensor)


def _joins(node: onnx.NodeProto) -> bool:
    return (node.domain, node.op_type) == ("", "Concat")


def _selects(node: onnx.NodeProto) -> bool:
    return is_region(node, REGION_GATHER, REGION_RESTRICT)


def quantised_inputs(graph: Graph, plan: QuantizationPlan, keep: Collection[str]) -> set[str]:
    """The tensors to quantise: inputs of all convolutions but some, with all that meet them.

    Args:
        graph: the one that the plan was made of.
        plan: its plan.
        keep: convolutions that stay in floating point.
    """
    sources = _sources(graph)
    convolutions = set(plan.convolutions) - set(keep)
    return {
        tensor
        for node in graph.nodes
        if not convolutions.isdisjoint(node.output)
        for source in sources[Convolution(node).x]
        for tensor in plan.groups.get(source, frozenset())
    }


def fingerprints(graph: Graph, plan: QuantizationPlan) -> dict[str, str]:
    """For each tensor of the plan a hash of what computes it from the ones before.

    Of operators, attributes and weights: another model with tensors of the same names differs
    at the first one that is computed otherwise. Sizes do not count.

    Args:
        graph: is only read.
        plan: of this graph, or of one with tensors of the same names.
    """
    producers = graph.edges().producers
    hashes = {}
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
                if not is_region(node, REGION_SELECT):
                    for attribute in sorted(node.attribute, key=lambda a: a.name):
                        digest.update(attribute.SerializeToString(deterministic=True))
                    todo += reversed(node.input)
        hashes[tensor] = digest.hexdigest()[:16]
    return hashes


def layer(name: str) -> str:
    """The layer that a convolution belongs to: ``stage2/4/project`` for one.

    Args:
        name: of the tensor that the convolution makes.
    """
    return name.removesuffix("/conv")


def select_layers(plan: QuantizationPlan, patterns: tuple[str, ...]) -> frozenset[str]:
    """The convolutions of the named layers: a layer, or all whose path starts with the name.

    Args:
        plan: its convolutions are chosen from.
        patterns: layers, or beginnings of their paths.

    Raises:
        UsageError: a name that is no layer.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        path = pattern.strip("/")
        matching = {n for n in plan.convolutions if f"{n.strip('/')}/".startswith(f"{path}/")}
        if not matching:
            parts = sorted({n.strip("/").split("/")[0] for n in plan.convolutions})
            raise UsageError(
                f"--keep {pattern}: no layer of that name runs in INT8; expected a path such as "
                f"{layer(plan.convolutions[0])}, or the start of one ({', '.join(parts)})"
            )
        chosen |= matching
    return frozenset(chosen)


def _sources(graph: Graph) -> dict[str, frozenset[str]]:
    """For every tensor the tensors whose values it holds: itself, unless it was only moved."""
    sources: dict[str, frozenset[str]] = {i.name: frozenset({i.name}) for i in graph.inputs}
    sources |= {name: frozenset() for name in graph.constants}
    for node in graph.nodes:
        if moves(node):
            sources[node.output[0]] = frozenset().union(*(sources[n] for n in moved(node)))
        else:
            sources |= {output: frozenset({output}) for output in node.output}
    return sources


def _classifiers(graph: Graph) -> set[str]:
    """Outputs of convolutions whose result is a Softmax's scores, or part of their sum."""
    producers = graph.edges().producers
    softmaxes = [n for n in graph.nodes if (n.domain, n.op_type) == ("", "Softmax")]
    todo = [NodeView(node).input("input") for node in softmaxes]
    classifiers = set()
    while todo:
        node = producers.get(todo.pop())
        if node is not None and convolution(node) is not None:
            classifiers.add(node.output[0])
        elif node is not None and node.op_type in ("Add", "Resize", "Identity", "Transpose"):
            todo += node.input
    return classifiers


def _first(graph: Graph) -> set[str]:
    """Outputs of convolutions with none before them."""
    behind: set[str] = set()
    first = set()
    for node in graph.nodes:
        follows = any(name in behind for name in node.input)
        convolves = convolution(node) is not None
        if convolves and not follows:
            first.add(node.output[0])
        if convolves or follows:
            behind.update(node.output)
    return first


def _unite(groups: dict[str, frozenset[str]], names: frozenset[str]) -> None:
    whole = names.union(*(groups.get(name, frozenset()) for name in names))
    for name in whole:
        groups[name] = whole
