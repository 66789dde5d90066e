"""PyTorch network -> exchange ONNX.

Networks consist of a few module types (`lc_trt.model.layers`), each with an emitter. Batch, height
and width stay symbolic; ``lc-trt build`` fixes them.
"""

from __future__ import annotations

import onnx

from lc_trt.ir.export.cascade import emit_cascade, export_dense
from lc_trt.ir.export.encoder_cascade import emit_encoder_cascade
from lc_trt.ir.export.parts import Normalisation, cascade_model
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.cascade import Cascade, StagedNetwork
from lc_trt.model.encoder_cascade import EncoderCascade

__all__ = ["export_cascade", "export_dense"]


def export_cascade(
    model: StagedNetwork, info: ModelInfo, mean: Normalisation, std: Normalisation
) -> onnx.ModelProto:
    """Export a cascade as exchange ONNX.

    Args:
        model: a cascade of three stages; switched to evaluation mode.
        info: metadata of the file.
        mean: mean of each input channel, BGR, in units of 0..255.
        std: standard deviation of each input channel, likewise.

    Returns:
        A model with inputs ``image`` uint8 [N, H, W, 3] (BGR) and ``rho`` float32 [2], and outputs
        ``labels`` uint8 [N, H, W], ``stages`` uint8 and ``confidence`` float32 [N, h, w], at the
        stride of the last stage.

    Raises:
        TypeError: a network or module without ONNX form.
    """
    model = model.eval()
    if isinstance(model, EncoderCascade):
        return cascade_model(info, mean, std, lambda b, x: emit_encoder_cascade(model, b, x))
    if isinstance(model, Cascade):
        return cascade_model(info, mean, std, lambda b, x: emit_cascade(model, b, x))
    raise TypeError(f"no ONNX form for {type(model).__name__}")
