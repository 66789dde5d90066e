"""Every node that TensorRT's parser refuses; the parser itself stops at the first."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import shape_inference

from lc_trt.ir.operator_schema import is_region
from lc_trt.trt.api import TensorRT

# How often a model is parsed again. Each time finds all nodes of an operator that the parser does
# not have, or one that it refuses for another reason.
MOST = 20
# Logged beside every error where there is no GPU.
_NOISE = ("catchCudaError", "Invalid Node - ")


def refused_nodes(api: TensorRT, builder: Any, model: onnx.ModelProto, parser: Any) -> list[str]:
    """Name, operator and reason of all nodes that the parser refuses, in the graph's order.

    Refused nodes are cut out and the rest parsed again: their readers get an input of the same
    type and shape. Where these are not known the readers are cut out, too, and only the names of
    their operators are checked.

    Args:
        api: TensorRT.
        builder: its IBuilder.
        model: that the parser was given.
        parser: has refused the model.
    """
    reasons: dict[int, str] = {}  # by number of the node
    elsewhere: list[str] = []
    known = _types(model)
    numbers = list(range(len(model.graph.node)))  # of the nodes that are left
    rest = model
    for _ in range(MOST):
        refused, general = _refused(parser, rest, numbers)
        elsewhere += [reason for reason in general if reason not in elsewhere]
        if not refused:
            break
        reasons |= refused
        numbers, rest = _without(model, numbers, set(refused), known)
        del parser  # it does not keep its network alive, so it goes first
        network = api.new_network(builder)
        parser = api.module.OnnxParser(network, api.logger)
        if parser.parse(rest.SerializeToString()) and not parser.num_errors:
            break
    else:
        elsewhere.append(f"and perhaps more: the rest was not parsed after {MOST} times")
    local = {function.name for function in model.functions}
    for number, node in enumerate(model.graph.node):
        foreign = not is_region(node) and node.op_type not in local
        if foreign and not parser.supports_operator(node.op_type):
            reasons.setdefault(number, f"{_called(node, number)}: no such operator")
    return [*(reasons[number] for number in sorted(reasons)), *elsewhere]


def _refused(
    parser: Any, model: onnx.ModelProto, numbers: list[int]
) -> tuple[dict[int, str], list[str]]:
    """A parser's errors: by numbers of nodes in the whole model, and those about no node."""
    refused: dict[int, str] = {}
    general: list[str] = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        reason = _reason(error.desc()) or error.code().name
        # Inside a function's body nodes have numbers of their own.
        if not error.node_operator() or error.local_function_stack_size():
            name, operator = error.node_name(), error.node_operator()
            general.append(f"{name!r} ({operator}): {reason}" if operator else reason)
            continue
        place = error.node()
        refused[numbers[place]] = f"{_called(model.graph.node[place], numbers[place])}: {reason}"
        if error.code().name != "UNSUPPORTED_NODE":
            continue
        for number, node in zip(numbers, model.graph.node, strict=True):
            if node.op_type == error.node_operator() and not is_region(node):
                refused.setdefault(number, f"{_called(node, number)}: {reason}")
    return refused, general


def _reason(text: str) -> str:
    lines = [line for line in text.splitlines() if not any(noise in line for noise in _NOISE)]
    reason = " ".join(" ".join(lines or text.splitlines()).split())
    # TensorRT gives plugins no logger while it parses, so they write to stderr themselves.
    return f"{reason} (its own reason is on stderr)" if "create the plugin" in reason else reason


def _called(node: onnx.NodeProto, number: int) -> str:
    name = repr(node.name) if node.name else f"number {number}"
    return f"{name} ({node.op_type})"


def _types(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Type and number of dimensions of every tensor of which both can be inferred."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: value
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type and value.type.tensor_type.HasField("shape")
    }


def _without(
    model: onnx.ModelProto,
    numbers: list[int],
    refused: set[int],
    known: dict[str, onnx.ValueInfoProto],
) -> tuple[list[int], onnx.ModelProto]:
    """The model of the nodes ``numbers`` less ``refused``; the numbers of those that are left."""
    left: list[int] = []
    lost: set[str] = set()
    remaining = set(numbers) - refused
    for number, node in enumerate(model.graph.node):
        # Nodes are in topological order.
        if number in remaining and not lost & set(node.input):
            left.append(number)
        else:
            lost |= {name for name in node.output if name not in known}
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    del rest.graph.node[:]
    rest.graph.node.extend(model.graph.node[number] for number in left)
    produced = {name for node in rest.graph.node for name in node.output}
    known_before = {value.name for value in (*model.graph.input, *model.graph.initializer)}
    read = dict.fromkeys(name for node in rest.graph.node for name in node.input if name)
    rest.graph.input.extend(known[name] for name in read if name not in produced | known_before)
    outputs = [value for value in model.graph.output if value.name in produced]
    del rest.graph.output[:]
    rest.graph.output.extend(outputs)
    return left, rest
