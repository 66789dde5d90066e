"""Passes in order: exchange ONNX -> what a backend runs."""

from __future__ import annotations

import onnx
from onnx import inliner

from lc_trt.compiler.dilated_pool import shift_dilated_pools
from lc_trt.compiler.fold import fold_constants, freeze
from lc_trt.compiler.fold_affine import fold_affine
from lc_trt.compiler.lower_standard import Lowering, lower_standard
from lc_trt.errors import LcTrtError

LOWERINGS = {
    "openvino": Lowering(row_multiple=64),
    "onnxruntime": Lowering(),
}


def compile_model(
    source: onnx.ModelProto, backend: str, size: tuple[int, int], batch: int
) -> onnx.ModelProto:
    """An exchange model, cascade or dense, for one backend at one size.

    Args:
        size: (height, width) in pixels.

    Returns:
        A model of standard operators only, with the same inputs and outputs.
    """
    if backend not in LOWERINGS:
        raise LcTrtError(f"backend {backend!r}: expected one of {', '.join(LOWERINGS)}")
    model = fold_constants(freeze(source, batch, size))
    model = fold_affine(model)
    model = lower_standard(model, LOWERINGS[backend])
    # Whatever functions a foreign exporter left: OpenVINO knows none.
    model = inliner.inline_local_functions(model)
    model = shift_dilated_pools(fold_constants(model))
    onnx.checker.check_model(model)
    return model
