"""What the exported networks share: input, class probabilities, outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto

from lc_trt.ir.builder import GraphBuilder, image_input, labels_output, map_output, rho_input
from lc_trt.ir.interface import CONFIDENCE, IMAGE, LABELS, RHO, STAGES
from lc_trt.ir.metadata import ModelInfo, write_info

Normalisation = Sequence[float]


class CascadeMaps(NamedTuple):
    """Names of the merged maps of a cascade.

    Attributes:
        probabilities: float [N, K, h, w].
        stages: exit stages, int32 [N, 1, h, w].
        confidence: float [N, 1, h, w], see `lc_trt.model.cascade.CascadeOutput`.
        stride: of these maps, in pixels.
    """

    probabilities: str
    stages: str
    confidence: str
    stride: int


def cascade_model(
    info: ModelInfo,
    mean: Normalisation,
    std: Normalisation,
    emit_maps: Callable[[GraphBuilder, str], CascadeMaps],
) -> onnx.ModelProto:
    """Create the model of a cascade.

    Args:
        info: metadata of the file.
        mean: mean of each input channel, BGR, in units of 0..255.
        std: standard deviation of each input channel, likewise.
        emit_maps: adds the network behind the normalised input, float [N, 3, H, W].
    """
    b = GraphBuilder()
    maps = emit_maps(b, emit_input(b, mean, std))
    emit_labels(b, maps.probabilities, maps.stride)
    emit_map(b, b.op("Cast", maps.stages, name=f"{STAGES}/cast", to=TensorProto.UINT8), STAGES)
    emit_map(b, maps.confidence, CONFIDENCE)
    outputs = [
        labels_output(),
        map_output(STAGES, TensorProto.UINT8),
        map_output(CONFIDENCE, TensorProto.FLOAT),
    ]
    return finish(b, info, [image_input(), rho_input()], outputs)


def emit_input(b: GraphBuilder, mean: Normalisation, std: Normalisation) -> str:
    """Add the input normalisation.

    Args:
        b: builder for the nodes.
        mean: mean of each input channel, BGR, in units of 0..255.
        std: standard deviation of each input channel, likewise.

    Returns:
        The normalised input, float [N, 3, H, W].
    """
    with b.path("input"):
        x = b.op("Cast", IMAGE, to=TensorProto.FLOAT)
        x = b.op("Sub", x, b.weight("mean", np.asarray(mean, np.float32)))
        x = b.op("Mul", x, b.weight("scale", (1 / np.asarray(std)).astype(np.float32)))
        return b.op("Transpose", x, perm=[0, 3, 1, 2])


def emit_labels(b: GraphBuilder, probabilities: str, stride: int) -> None:
    """Add the output of labels: bilinear to the image's size, then the best class.

    Args:
        b: builder for the nodes.
        probabilities: float [N, K, h, w].
        stride: of the map, in pixels.
    """
    with b.path("output"):
        y = resize_by(b, probabilities, stride)
        # Cropped last: that moves one byte per pixel, not one float per class.
        y = b.op("Cast", b.op("ArgMax", y, axis=1, keepdims=0), to=TensorProto.UINT8)
        end = b.op("Shape", IMAGE, start=1, end=3)
        crop = [y, b.constant([0, 0], np.int64), end, b.constant([1, 2], np.int64)]
        b.op("Slice", *crop, output=LABELS)


def resize_by(b: GraphBuilder, x: str, factor: int) -> str:
    """Resize a map bilinearly (half-pixel) by an integer factor.

    Args:
        b: builder for the nodes.
        x: float [N, C, h, w].
        factor: of height and width.
    """
    return b.op(
        "Resize", x, "", b.constant([1, 1, factor, factor], np.float32),
        mode="linear", coordinate_transformation_mode="half_pixel",
    )  # fmt: skip


def emit_map(b: GraphBuilder, x: str, name: str) -> None:
    """Add an output [N, h, w].

    Args:
        b: builder for the nodes.
        x: map [N, 1, h, w].
        name: of the output.
    """
    b.op("Squeeze", x, b.constant([1], np.int64), output=name, name=f"output/{name}")


def emit_probabilities(b: GraphBuilder, logits: str) -> tuple[str, str]:
    """Add the softmax over channels and its largest value, for maps and for rows.

    Args:
        b: builder for the nodes.
        logits: map [N, K, h, w] or rows [R, K].

    Returns:
        Probabilities, and confidences with one channel.
    """
    p = b.op("Softmax", logits, axis=1)
    return p, emit_confidence(b, p)


def emit_confidence(b: GraphBuilder, probabilities: str) -> str:
    """Add the largest probability.

    Args:
        b: builder for the nodes.
        probabilities: map [N, K, h, w] or rows [R, K].

    Returns:
        Confidences with one channel.
    """
    return b.op("ReduceMax", probabilities, b.constant([1], np.int64), name=CONFIDENCE, keepdims=1)


def emit_first_active(b: GraphBuilder, confidence: str) -> str:
    """Add the mask of the cells that stage 1 computes: all, also those of unknown confidence.

    Args:
        b: builder for the nodes.
        confidence: of stage 1, float [N, 1, h, w].

    Returns:
        bool [N, 1, h, w].
    """
    true = onnx.helper.make_tensor("value", TensorProto.BOOL, [1], [True])
    return b.op("ConstantOfShape", b.op("Shape", confidence), value=true)


def emit_rho(b: GraphBuilder, stage: int) -> str:
    """Add the threshold in front of a stage.

    Args:
        b: builder for the nodes.
        stage: 2 or 3.

    Returns:
        float [].
    """
    return b.op("Gather", RHO, b.constant(stage - 2, np.int64), name=RHO)


def finish(
    b: GraphBuilder,
    info: ModelInfo,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """Create the model with metadata, and check it.

    Args:
        b: builder with all nodes.
        info: metadata of the file.
        inputs: of the model.
        outputs: of the model.
    """
    model = b.model(inputs, outputs, info.name)
    write_info(model, info)
    onnx.checker.check_model(model, full_check=True)
    return model
