"""Element types and shapes of tensors, from ONNX's shape inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper


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

    Args:
        model: weights may lack values (`lc_trt.compiler.graph.Graph.skeleton`).
    """
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {value.name: _type(value.type.tensor_type) for value in _values(graph)}


def _type(tensor: onnx.TypeProto.Tensor) -> TensorType:
    if not tensor.HasField("shape"):
        return TensorType(tensor.elem_type)
    dims = (d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return TensorType(tensor.elem_type, tuple(dims))


def _values(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.output
    yield from graph.value_info
