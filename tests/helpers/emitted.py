"""Nodes of the exporter, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import torch
from onnx import helper
from tiny_networks import session

from lc_trt.ir.builder import GraphBuilder


def run_emitted(
    emit: Callable[[GraphBuilder, list[str]], Sequence[str]], inputs: Sequence[torch.Tensor]
) -> list[np.ndarray]:
    """Run emitted nodes.

    Args:
        emit: adds nodes that read the inputs, and returns the outputs.
        inputs: values of the inputs, whose sizes are symbolic in the model.

    Returns:
        Values of the outputs.
    """
    b = GraphBuilder()
    values = {f"input{i}": value.numpy() for i, value in enumerate(inputs)}
    declared = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(value.dtype),
            [f"{name}_{axis}" if axis != 1 else side for axis, side in enumerate(value.shape)],
        )
        for name, value in values.items()
    ]
    names = emit(b, list(values))
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    model = b.model(declared, outputs, "emitted")
    inferred = onnx.shape_inference.infer_shapes(model)
    results: list[np.ndarray] = session(inferred).run(list(names), values)
    return results
