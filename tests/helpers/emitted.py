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
    return emitted(emit, inputs)(inputs)


def emitted(
    emit: Callable[[GraphBuilder, list[str]], Sequence[str]], examples: Sequence[torch.Tensor]
) -> Callable[[Sequence[torch.Tensor]], list[np.ndarray]]:
    """Emit nodes once, to run them on inputs of several sizes.

    Args:
        emit: see `run_emitted`.
        examples: inputs with the types and channels of those to come.

    Returns:
        Maps values of the inputs to values of the outputs.
    """
    b = GraphBuilder()
    declared = [
        helper.make_tensor_value_info(
            f"input{i}",
            helper.np_dtype_to_tensor_dtype(value.numpy().dtype),
            [f"input{i}_{axis}" if axis != 1 else side for axis, side in enumerate(value.shape)],
        )
        for i, value in enumerate(examples)
    ]
    names = emit(b, [value.name for value in declared])
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    model = b.model(declared, outputs, "emitted")
    run = session(onnx.shape_inference.infer_shapes(model))

    def call(inputs: Sequence[torch.Tensor]) -> list[np.ndarray]:
        values = {f"input{i}": value.numpy() for i, value in enumerate(inputs)}
        results: list[np.ndarray] = run.run(list(names), values)
        return results

    return call
