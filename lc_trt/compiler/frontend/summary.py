"""Summary of an ONNX model, for ``lc-trt inspect``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import onnx

from lc_trt.compiler.frontend.read_onnx import exchange_kind, opset
from lc_trt.ir.cost import StageMacs, dense_macs, stage_macs
from lc_trt.ir.metadata import ModelInfo, read_info
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_SELECT


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Attributes:
        name: name of the tensor.
        dtype: lower-case name of its ONNX data type.
        shape: dimensions; a name for symbolic ones.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Summary:
    """Summary of an ONNX model.

    Attributes:
        kind: ``cascade`` or ``dense`` for exchange models, ``onnx`` for others.
        info: metadata; None for other ONNX.
        opset: version of the standard operator set.
        inputs, outputs: inputs and outputs of the model.
        parameters: number of values in the weights.
        operators: number of occurrences by part of the network and operator.
        size: (height, width) in pixels for ``macs``.
        macs: multiply-accumulates by part for one image and all pixels; None for other ONNX.
    """

    kind: str
    info: ModelInfo | None
    opset: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parameters: int
    operators: dict[str, dict[str, int]]
    size: tuple[int, int] | None
    macs: dict[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return asdict(self)


def summarise(model: onnx.ModelProto, size: tuple[int, int] | None = None) -> Summary:
    """Summarise a model.

    Args:
        model: any ONNX.
        size: (height, width) in pixels for the MAC count; None for the model's own.
    """
    kind, info = exchange_kind(model), read_info(model)
    size = size or (info.size if info else None)
    macs = None
    if kind is not None and size is not None:
        macs = _macs(model, size)
    initializers = {t.name for t in model.graph.initializer}
    return Summary(
        kind=kind or "onnx",
        info=info,
        opset=opset(model),
        inputs=tuple(_tensor(i) for i in model.graph.input if i.name not in initializers),
        outputs=tuple(map(_tensor, model.graph.output)),
        parameters=sum(prod(t.dims) for t in model.graph.initializer if _is_weight(t)),
        operators=_operators(model),
        size=size,
        macs=macs,
    )


def _macs(model: onnx.ModelProto, size: tuple[int, int]) -> dict[str, float]:
    if any(is_region(n, REGION_SELECT) for n in model.graph.node):
        stages: StageMacs = stage_macs(model, size)
        return {**stages.parts(), "dense": stages.dense}
    return {"dense": dense_macs(model, size)}


def _is_weight(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def _operators(model: onnx.ModelProto) -> dict[str, dict[str, int]]:
    """Count operators by the first part of the node name, the stage or head in our exports."""
    parts: dict[str, Counter[str]] = {}
    for node in model.graph.node:
        part, slash, _ = node.name.partition("/")
        parts.setdefault(part if slash else "graph", Counter())[node.op_type] += 1
    return {part: dict(counts.most_common()) for part, counts in parts.items()}


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    dims = [d.dim_param or d.dim_value for d in kind.shape.dim]
    return Tensor(value.name, onnx.TensorProto.DataType.Name(kind.elem_type).lower(), tuple(dims))
