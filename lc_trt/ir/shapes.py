"""Shapes of an exchange model's tensors at a size of its input."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from lc_trt.ir.interface import IMAGE, OPSET
from lc_trt.ir.node_view import NodeView

Shapes: TypeAlias = dict[str, tuple[int, ...]]
Constants: TypeAlias = dict[str, npt.NDArray[Any]]
_LARGEST = 64  # elements of a constant that may be arithmetic on sizes


def static_shapes(model: onnx.ModelProto, size: tuple[int, int]) -> Shapes:
    """Infer shapes for one image; tensors inside regions, whose rows vary, are left out.

    ONNX's inference needs some inputs as constants, such as the bounds of a Slice or the widths of
    a Pad. So arithmetic on sizes is evaluated as soon as they are known, and inference runs again.

    Args:
        model: with input `IMAGE`.
        size: (height, width) in pixels.
    """
    frozen = onnx.ModelProto()
    frozen.CopyFrom(model)
    for value in frozen.graph.input:
        if value.name == IMAGE:
            for dim, fixed in zip(value.type.tensor_type.shape.dim, (1, *size, 3), strict=True):
                dim.dim_value = fixed
    constants = {
        t.name: numpy_helper.to_array(t)
        for t in frozen.graph.initializer
        if np.prod(t.dims) <= _LARGEST
    }
    while True:
        inferred = onnx.shape_inference.infer_shapes(frozen, data_prop=True).graph
        shapes: Shapes = {}
        for value in (*inferred.input, *inferred.output, *inferred.value_info):
            dims = value.type.tensor_type.shape.dim
            if all(d.HasField("dim_value") for d in dims):
                shapes[value.name] = tuple(d.dim_value for d in dims)
        if not _evaluate(frozen.graph, shapes, constants):
            return shapes


def _evaluate(graph: onnx.GraphProto, shapes: Shapes, constants: Constants) -> bool:
    """Replace nodes whose values are known by constants; whether there were any."""
    found = False
    for node in graph.node:
        if node.domain or len(node.output) != 1 or node.output[0] in constants:
            continue
        value = _value(node, shapes, constants)
        if value is None:
            continue
        constants[node.output[0]] = value
        if node.op_type != "Constant":
            tensor = numpy_helper.from_array(value)
            node.CopyFrom(helper.make_node("Constant", [], node.output, value=tensor))
            found = True
    return found


def _value(node: onnx.NodeProto, shapes: Shapes, constants: Constants) -> npt.NDArray[Any] | None:
    """The value of a node; None where it is not known, or has more than a few elements."""
    if node.op_type == "Shape":
        view = NodeView(node)
        shape = shapes.get(view.input("data"))
        if shape is None:
            return None
        start, end = (view.attributes().get(name) for name in ("start", "end"))
        return np.array(shape[start:end], np.int64)
    inputs = [name for name in node.input if name]
    if any(name not in constants for name in inputs) or (not inputs and node.op_type != "Constant"):
        return None
    graph = helper.make_graph(
        [node],
        "alone",
        [helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(inputs)],
        [helper.make_value_info(node.output[0], onnx.TypeProto())],
    )
    alone = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    (value,) = ReferenceEvaluator(alone).run(None, {name: constants[name] for name in inputs})
    return np.asarray(value) if np.size(value) <= _LARGEST else None
