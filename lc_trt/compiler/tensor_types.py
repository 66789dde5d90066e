"""Element types and shapes of tensors, from ONNX's shape inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lc_trt.ir.node_view import NodeView


@dataclass(frozen=True)
class TensorType:
    """Type of a tensor, as far as known.

    Attributes:
        element: data type of `onnx.TensorProto`; UNDEFINED if unknown.
        dims: dimensions, None for symbolic ones; None as a whole if the rank is unknown.
    """

    element: int = TensorProto.UNDEFINED
    dims: tuple[int | None, ...] | None = None

    @classmethod
    def of(cls, value: npt.NDArray[np.generic]) -> TensorType:
        """The type of a constant.

        Args:
            value: array of any shape and any ONNX dtype.
        """
        return cls(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """All dimensions; None unless all are known."""
        if self.dims is None:
            return None
        sizes = tuple(size for size in self.dims if size is not None)
        return sizes if len(sizes) == len(self.dims) else None


def infer_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """Infer the types of inputs, outputs and intermediate tensors of the main graph.

    ONNX's inference forgets all sizes of a Slice whose bounds are computed; those of the other axes
    are kept here.

    Args:
        model: weights may lack values (`lc_trt.compiler.graph.Graph.skeleton`).
    """
    while True:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        values = {value.name: value.type.tensor_type for value in _values(model.graph)}
        if not _keep_sizes_of_slices(model.graph, values):
            return {name: _type(tensor) for name, tensor in values.items()}


def _keep_sizes_of_slices(graph: onnx.GraphProto, values: dict[str, onnx.TypeProto.Tensor]) -> bool:
    """Add the sizes of axes that are not sliced to ``values``; return whether any were missing."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    added = False
    for node in graph.node:
        if (node.domain, node.op_type) != ("", "Slice"):
            continue
        view = NodeView(node)
        data, axes = values.get(view.input("data")), constants.get(view.input("axes"))
        y = view.output("output")
        if data is None or axes is None or y not in values or not data.HasField("shape"):
            continue
        rank, shape = len(data.shape.dim), values[y].shape
        sliced = {axis % rank for axis in numpy_helper.to_array(axes).tolist()}
        while len(shape.dim) < rank:
            shape.dim.add()
        for axis, size in enumerate(data.shape.dim):
            if axis not in sliced and size.HasField("dim_value") and not shape.dim[axis].dim_value:
                shape.dim[axis].dim_value = size.dim_value
                added = True
    return added


def _type(tensor: onnx.TypeProto.Tensor) -> TensorType:
    if not tensor.HasField("shape"):
        return TensorType(tensor.elem_type)
    dims = (d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return TensorType(tensor.elem_type, tuple(dims))


def _values(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.output
    yield from graph.value_info
