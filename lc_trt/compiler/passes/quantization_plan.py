"""Selects the tensors of an exchange model to quantise, and the convolutions to run in INT8."""

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
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_GATHER, REGION_RESTRICT, REGION_SELECT

# Standard operators that only move the values of one input, with its name.
_MOVED_INPUT = {"MaxPool": "X", "Transpose": "data", "Reshape": "data", "Resize": "X"}
# Operators between a classifier and its Softmax.
_KEEP_SCORES = ("Add", "Mul", "Resize", "Identity", "Transpose")


@dataclass(frozen=True)
class QuantizationPlan:
    """Quantisation plan of a model.

    Convolutions are identified by their output tensors, because the dense form of a network has the
    same tensor names but other node names.

    Attributes:
        tensors: activations to observe in calibration, in the order of the graph.
        groups: tensors with a common scale (joined by a concatenation), by tensor.
        convolutions: convolutions that can run in INT8, in order.
        branches: tensors that are added right after a convolution and not needed otherwise.
        excluded: reason why a convolution stays in floating point, by convolution.
    """

    tensors: tuple[str, ...]
    groups: dict[str, frozenset[str]]
    convolutions: tuple[str, ...]
    branches: frozenset[str]
    excluded: dict[str, str] = field(default_factory=dict)


def make_plan(graph: Graph) -> QuantizationPlan:
    """Create the plan of a model with folded batch norms (`fold_batch_norm.FoldBatchNorm`).

    It excludes classifiers, whose scores determine where pixels exit, and the convolutions that
    read the image, which are cheap and lose most accuracy in signed 8 bits.

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
    """Whether a node only moves values, and can therefore move quantised ones.

    Args:
        node: node of any operator.
    """
    return _joins(node) or _selects(node) or _moves_one(node)


def moved(node: onnx.NodeProto) -> list[str]:
    """Inputs whose values a moving node moves; its output has their scale.

    Args:
        node: node for which `moves` holds.
    """
    view = NodeView(node)
    if _joins(node):
        return view.inputs("inputs")
    return [view.input("x" if _selects(node) else _MOVED_INPUT[node.op_type])]


def set_moved(node: onnx.NodeProto, tensors: list[str]) -> None:
    """Replace the inputs whose values a moving node moves.

    Args:
        node: node for which `moves` holds.
        tensors: new inputs, in the order of `moved`.
    """
    view = NodeView(node)
    if _joins(node):
        view.set_inputs("inputs", tensors)
    else:
        (tensor,) = tensors
        view.set_input("x" if _selects(node) else _MOVED_INPUT[node.op_type], tensor)


def _joins(node: onnx.NodeProto) -> bool:
    return (node.domain, node.op_type) == ("", "Concat")


def _moves_one(node: onnx.NodeProto) -> bool:
    if node.domain != "" or node.op_type not in _MOVED_INPUT:
        return False
    return node.op_type != "Resize" or bool(NodeView(node).attribute("mode") == b"nearest")


def _selects(node: onnx.NodeProto) -> bool:
    return is_region(node, REGION_GATHER, REGION_RESTRICT)


def quantised_inputs(graph: Graph, plan: QuantizationPlan, keep: Collection[str]) -> set[str]:
    """Tensors to quantise: the inputs of INT8 convolutions, with their groups.

    Args:
        graph: graph of the plan.
        plan: quantisation plan.
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
    """Hash the operators, attributes and weights that compute each tensor from preceding ones.

    A different model with the same tensor names has a different hash at the first tensor that is
    computed differently.

    Args:
        graph: is only read. Its size is symbolic (`pipeline.prepare`): that of a fixed one would be
            among the constants that are hashed.
        plan: plan of this graph, or of one with the same tensor names.

    Returns:
        Hexadecimal hash by tensor.
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
                # Values in a region do not depend on how it was selected.
                if not is_region(node, REGION_SELECT):
                    for attribute in sorted(node.attribute, key=lambda a: a.name):
                        digest.update(attribute.SerializeToString(deterministic=True))
                    todo += reversed(node.input)
        hashes[tensor] = digest.hexdigest()[:16]
    return hashes


def layer(name: str) -> str:
    """Layer of a convolution, such as ``stage2/4/project``.

    Args:
        name: output tensor of the convolution.
    """
    return name.removesuffix("/conv")


def select_layers(plan: QuantizationPlan, patterns: tuple[str, ...]) -> frozenset[str]:
    """Select convolutions by layer.

    Args:
        plan: quantisation plan.
        patterns: paths of layers, or their leading parts.

    Raises:
        UsageError: a pattern without a matching layer.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        path = pattern.strip("/")
        matching = {n for n in plan.convolutions if f"{n.strip('/')}/".startswith(f"{path}/")}
        if not matching:
            parts = sorted({n.strip("/").split("/")[0] for n in plan.convolutions})
            raise UsageError(
                f"--keep {pattern}: no such layer runs in INT8; expected a path such as "
                f"{layer(plan.convolutions[0])}, or the start of one ({', '.join(parts)})"
            )
        chosen |= matching
    return frozenset(chosen)


def _sources(graph: Graph) -> dict[str, frozenset[str]]:
    """Source tensors of the values of each tensor: itself, unless they were only moved."""
    sources: dict[str, frozenset[str]] = {i.name: frozenset({i.name}) for i in graph.inputs}
    sources |= {name: frozenset() for name in graph.constants}
    for node in graph.nodes:
        if moves(node):
            sources[node.output[0]] = frozenset().union(*(sources[n] for n in moved(node)))
        else:
            sources |= {output: frozenset({output}) for output in node.output}
    return sources


def _classifiers(graph: Graph) -> set[str]:
    """Outputs of convolutions that are scores of a Softmax, or summands or factors of them."""
    producers = graph.edges().producers
    softmaxes = [n for n in graph.nodes if (n.domain, n.op_type) == ("", "Softmax")]
    todo = [NodeView(node).input("input") for node in softmaxes]
    classifiers = set()
    while todo:
        node = producers.get(todo.pop())
        if node is not None and convolution(node) is not None:
            classifiers.add(node.output[0])
        elif node is not None and is_region(node, REGION_RESTRICT):
            todo.append(NodeView(node).input("x"))
        elif node is not None and node.op_type in _KEEP_SCORES:
            todo += node.input
    return classifiers


def _first(graph: Graph) -> set[str]:
    """Outputs of convolutions without a preceding one."""
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
