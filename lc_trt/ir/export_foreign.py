"""A PyTorch network of any modules -> plain ONNX, by torch's own exporter."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import nn

from lc_trt.ir.interface import BATCH, FEATURE_HEIGHT, FEATURE_WIDTH, HEIGHT, IMAGE, OPSET, WIDTH

LOGITS = "logits"
_EXAMPLE = (1, 3, 128, 192)  # shape of the traced input; the result takes others


def export_foreign(model: nn.Module, name: str) -> onnx.ModelProto:
    """Export a network as other projects export theirs; `lc-trt build` imports the file.

    Args:
        model: maps normalised images, float [N, 3, H, W], to logits, float [N, K, h, w], in
            evaluation mode.
        name: of the graph.

    Returns:
        A model with input ``image``, float32 [N, 3, H, W], and output ``logits``, float32
        [N, K, h, w], of any batch and size. It has no lc_trt metadata.
    """
    axes = {
        IMAGE: {0: BATCH, 2: HEIGHT, 3: WIDTH},
        LOGITS: {0: BATCH, 2: FEATURE_HEIGHT, 3: FEATURE_WIDTH},
    }
    exported = trace(model, [LOGITS], axes)
    exported.graph.name = name
    return exported


def trace(
    model: nn.Module, outputs: Sequence[str], axes: Mapping[str, Mapping[int, str]]
) -> onnx.ModelProto:
    """Run torch's exporter.

    Args:
        model: maps normalised images, float [N, 3, H, W], to one or more tensors; switched to
            evaluation mode.
        outputs: their names.
        axes: names of symbolic axes by tensor; those of the input, `IMAGE`, are needed.

    Returns:
        A model with input `IMAGE`, float32.
    """
    example = torch.zeros(_EXAMPLE, device=next(model.parameters()).device)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder) / "model.onnx"
        # The exporter that is not deprecated takes ten times as long, and needs onnxscript.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model.eval(), (example,), file, dynamo=False, opset_version=OPSET,
            input_names=[IMAGE], output_names=list(outputs), dynamic_axes=axes,
        )  # fmt: skip
        return onnx.load(file)
