"""What is in an ONNX, in numbers: for ``lc-trt inspect``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import onnx

from lc_trt.compiler.frontend.read_onnx import exchange_kind, opset
from lc_trt.ir.cost import StageMacs, dense_macs, stage_macs
from lc_trt.ir.metadata import ModelInfo, read_info
from lc_trt.ir.region_ops import REGION_SELECT, is_region


@dataclass(frozen=True)
class Tensor:
    """An input or output; a symbolic dimension keeps its name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Summary:
    """An ONNX at a glance.

    Attributes:
        kind: ``cascade``, ``dense`` (both ours) or ``onnx`` (any other).
        parameters: values in the weights.
        operators: how often each operator occurs, by part of the network.
        size: (height, width) that ``macs`` is counted at.
        macs: multiply-accumulates by part, one image, all pixels; None for other ONNX.
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
        """Plain values for JSON."""
        return asdict(self)


def summarise(model: onnx.ModelProto, size: tuple[int, int] | None = None) -> Summary:
    """Count what is in a model; ``size`` defaults to the model's own."""
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
        return {**asdict(stages), "dense": stages.dense}
    return {"dense": dense_macs(model, size)}


def _is_weight(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def _operators(model: onnx.ModelProto) -> dict[str, dict[str, int]]:
    """By the first part of the node's name, which our exporter sets to the stage or head."""
    parts: dict[str, Counter[str]] = {}
    for node in model.graph.node:
        part, found, _ = node.name.partition("/")
        parts.setdefault(part if found else "graph", Counter())[node.op_type] += 1
    return {part: dict(counts.most_common()) for part, counts in parts.items()}


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    dims = [d.dim_param or d.dim_value for d in kind.shape.dim]
    return Tensor(value.name, onnx.TensorProto.DataType.Name(kind.elem_type).lower(), tuple(dims))
