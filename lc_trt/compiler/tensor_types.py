"""Element types and shapes of a graph's tensors, by ONNX's own inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper


@dataclass(frozen=True)
class TensorType:
    """What is known of a tensor.

    Attributes:
        element: a data type of `onnx.TensorProto`; UNDEFINED if it is not known.
        dims: sizes, None for each that is symbolic; None as a whole if the rank is not known.
    """

    element: int = TensorProto.UNDEFINED
    dims: tuple[int | None, ...] | None = None

    @classmethod
    def of(cls, value: npt.NDArray[np.generic]) -> TensorType:
        """The type of a constant.

        Args:
            value: any shape, any dtype that ONNX has.
        """
        return cls(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """All sizes; None unless every one is known."""
        if self.dims is None:
            return None
        sizes = tuple(size for size in self.dims if size is not None)
        return sizes if len(sizes) == len(self.dims) else None


def infer_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """What ONNX's inference says of inputs, outputs and intermediate tensors of the main graph.

    Args:
        model: may lack the values of weights (`lc_trt.compiler.graph.Graph.skeleton`).
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
