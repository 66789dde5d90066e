"""Any ONNX that is a segmentation network, as an exchange model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from lc_trt.compiler.frontend.read_onnx import check_region_operators, exchange_kind
from lc_trt.compiler.frontend.wrap_dense import Normalisation, wrap_plain
from lc_trt.data.classes import ClassSet
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import ModelInfo, read_info


def open_exchange(
    model: onnx.ModelProto,
    source: Path,
    size: tuple[int, int] | None,
    classes: ClassSet | None,
    normalisation: Normalisation | None,
) -> tuple[onnx.ModelProto, ModelInfo]:
    """The model in exchange form, and its facts.

    Args:
        source: what messages call it.
        size: (height, width) for a plain network; None takes the default.
        classes: names and colours, where they are not the model's own.
        normalisation: of a plain network's input; None is ImageNet's.

    Raises:
        LcTrtError: it is no segmentation network.
        UsageError: other classes than it has, or a normalisation that it does itself.
    """
    try:
        info = read_info(model)
    except LcTrtError as error:
        raise LcTrtError(f"{source}: {error}") from error
    if exchange_kind(model) is None:
        default = ModelInfo.size
        model = wrap_plain(
            model, str(source), size or default, normalisation or Normalisation(), classes
        )
        info = read_info(model)
    elif normalisation is not None:
        raise UsageError(f"{source}: normalises inside its graph; leave out --mean, --std, --bgr")
    if info is None:
        raise LcTrtError(
            f"{source}: has our inputs and outputs but no lc_trt metadata; write it with "
            "'lc-trt export'"
        )
    check_region_operators(model, str(source))
    if classes is not None:
        if len(classes) != len(info.classes):
            raise UsageError(
                f"{source}: has {len(info.classes)} classes, --classes {classes.name} has "
                f"{len(classes)}"
            )
        info = replace(info, classes=classes.names, colours=classes.colours)
    return model, info
