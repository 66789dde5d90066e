"""PyTorch network -> exchange ONNX.

The networks are made of the few module types of `lc_trt.model.layers`; each has an
emitter here, for dense maps and for compact rows alike. The graph keeps symbolic
batch, height and width; `lc-trt build` fixes them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto
from torch import Tensor, nn

from lc_trt.ir.builder import (
    GraphBuilder,
    image_input,
    labels_output,
    map_output,
    rho_input,
)
from lc_trt.ir.interface import CONFIDENCE, IMAGE, LABELS, RHO, STAGES
from lc_trt.ir.metadata import ModelInfo, write_info
from lc_trt.ir.operator_schema import Region
from lc_trt.ir.region_ops import (
    REGION_CONV,
    REGION_GATHER,
    REGION_MAX_POOL,
    REGION_RESTRICT,
    REGION_SCATTER,
)
from lc_trt.model import layers
from lc_trt.model.cascade import OUTPUT_STRIDE, Cascade, Dense

NUMBER_OF_STAGES = 3


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()


@functools.singledispatch
def emit(module: nn.Module, b: GraphBuilder, x: str, region: Region | None) -> str:
    """Add a module's nodes behind ``x``.

    Args:
        module: of `lc_trt.model.layers`.
        b: gets the nodes.
        x: name of the input: a map, or rows where there is a region.
        region: None for a map.

    Returns:
        The name of the output.
    """
    raise TypeError(f"no ONNX form for {type(module).__name__}; add an emitter in ir/export.py")


@emit.register
def _(module: layers.Conv, b: GraphBuilder, x: str, region: Region | None) -> str:
    conv, bn = module.conv, module.bn
    weight = b.weight("weight", _array(conv.weight))
    dilations = list(conv.dilation)
    kernel_shape = list(conv.kernel_size)
    if region is None:
        bias = [] if conv.bias is None else [b.weight("bias", _array(conv.bias))]
        pads = [int(p) for p in conv.padding] * 2
        y = b.op(
            "Conv", x, weight, *bias, name="conv",
            kernel_shape=kernel_shape, strides=list(conv.stride), dilations=dilations, pads=pads,
        )  # fmt: skip
    else:
        value = np.zeros(conv.out_channels, np.float32) if conv.bias is None else _array(conv.bias)
        y = b.region(
            REGION_CONV, name="conv", region=region, x=x, weight=weight,
            bias=b.weight("bias", value), residual=b.constant([[0.0]], np.float32),
            kernel_shape=kernel_shape, dilations=dilations,
        )  # fmt: skip
    if bn is not None:
        parameters = {
            "scale": bn.weight, "shift": bn.bias, "mean": bn.running_mean, "var": bn.running_var,
        }  # fmt: skip
        names = [b.weight(f"bn_{key}", _array(value)) for key, value in parameters.items()]
        y = b.op("BatchNormalization", y, *names, name="bn", epsilon=float(bn.eps))
    return b.op("Relu", y, name="relu") if module.relu else y


@emit.register
def _(module: layers.MaxPool, b: GraphBuilder, x: str, region: Region | None) -> str:
    kernel_shape, dilations = [module.kernel] * 2, [module.dilation] * 2
    if region is not None:
        return b.region(
            REGION_MAX_POOL, name="pool", region=region, x=x,
            kernel_shape=kernel_shape, dilations=dilations,
        )  # fmt: skip
    padding = module.dilation * (module.kernel // 2)
    return b.op(
        "MaxPool", x, name="pool", kernel_shape=kernel_shape, dilations=dilations,
        strides=[module.stride] * 2, pads=[padding] * 4,
    )  # fmt: skip


@emit.register
def _(module: layers.AveragePool, b: GraphBuilder, x: str, region: Region | None) -> str:
    return b.op("AveragePool", x, name="pool", kernel_shape=[3, 3], pads=[1] * 4)


@emit.register
def _(module: layers.Chain, b: GraphBuilder, x: str, region: Region | None) -> str:
    for number, child in enumerate(module):
        with b.path(str(number)):
            x = emit(child, b, x, region)
    return x


def _emit_branches(
    branches: nn.ModuleList, b: GraphBuilder, x: str, region: Region | None
) -> list[str]:
    outputs = []
    for number, branch in enumerate(branches):
        with b.path(f"branch{number}"):
            outputs.append(emit(branch, b, x, region))
    return outputs


@emit.register
def _(module: layers.Concat, b: GraphBuilder, x: str, region: Region | None) -> str:
    outputs = _emit_branches(module.branches, b, x, region)
    return b.op("Concat", *outputs, *([x] if module.identity else []), axis=1)


@emit.register
def _(module: layers.Residual, b: GraphBuilder, x: str, region: Region | None) -> str:
    with b.path("branches"):
        y = emit(module.branches, b, x, region)
    with b.path("project"):
        y = emit(module.project, b, y, region)
    if module.shortcut is not None:
        with b.path("shortcut"):
            x = emit(module.shortcut, b, x, region)
    if module.scale != 1.0:
        y = b.op("Mul", y, b.constant(module.scale, np.float32), name="scale")
    total = b.op("Add", x, y, name="add")
    return b.op("Relu", total, name="relu") if module.relu else total


@emit.register
def _(module: layers.Sum, b: GraphBuilder, x: str, region: Region | None) -> str:
    total, *rest = _emit_branches(module.branches, b, x, region)
    for other in rest:
        total = b.op("Add", total, other, name="sum")
    return total


@emit.register
def _(module: layers.Dropout, b: GraphBuilder, x: str, region: Region | None) -> str:
    return x


def _emit_input(b: GraphBuilder, mean: Sequence[float], std: Sequence[float]) -> str:
    """uint8 BGR [N, H, W, 3] -> normalised float [N, 3, H, W]."""
    with b.path("input"):
        x = b.op("Cast", IMAGE, to=TensorProto.FLOAT)
        x = b.op("Sub", x, b.weight("mean", np.asarray(mean, np.float32)))
        x = b.op("Mul", x, b.weight("scale", (1 / np.asarray(std)).astype(np.float32)))
        return b.op("Transpose", x, perm=[0, 3, 1, 2])


def _emit_labels(b: GraphBuilder, probabilities: str) -> None:
    """Bilinear to the image's size, then the best class."""
    with b.path("output"):
        scales = b.constant([1, 1, OUTPUT_STRIDE, OUTPUT_STRIDE], np.float32)
        y = b.op(
            "Resize", probabilities, "", scales,
            mode="linear", coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
        # Cropped last: that moves one byte per pixel, not one float per class.
        y = b.op("Cast", b.op("ArgMax", y, axis=1, keepdims=0), to=TensorProto.UINT8)
        end = b.op("Shape", IMAGE, start=1, end=3)
        crop = [y, b.constant([0, 0], np.int64), end, b.constant([1, 2], np.int64)]
        b.op("Slice", *crop, output=LABELS)


def _emit_map(b: GraphBuilder, x: str, name: str) -> None:
    b.op("Squeeze", x, b.constant([1], np.int64), output=name, name=f"output/{name}")


def _emit_probabilities(b: GraphBuilder, logits: str) -> tuple[str, str]:
    """Softmax over the channels and its largest value, for maps and for rows."""
    p = b.op("Softmax", logits, axis=1)
    return p, b.op("ReduceMax", p, b.constant([1], np.int64), name=CONFIDENCE, keepdims=1)


def export_cascade(
    model: Cascade, info: ModelInfo, mean: Sequence[float], std: Sequence[float]
) -> onnx.ModelProto:
    """A cascade as exchange ONNX.

    Args:
        model: with three stages.
        info: for the metadata.
        mean: of each input channel, BGR, in units of 0..255.
        std: standard deviation of each input channel, likewise.

    Returns:
        A model with inputs ``image`` uint8 [N, H, W, 3] (BGR) and ``rho`` float32 [2], and
        outputs ``labels`` uint8 [N, H, W], ``stages`` uint8 and ``confidence`` float32
        [N, ceil(H/8), ceil(W/8)].
    """
    model = model.eval()
    b = GraphBuilder()
    x = _emit_input(b, mean, std)
    with b.path("stage1"):
        x = emit(model.stages[0], b, x, None)
    with b.path("head1"):
        probabilities, confidence = _emit_probabilities(b, emit(model.heads[0], b, x, None))
    merged, merged_confidence = probabilities, confidence
    with b.path(STAGES):
        # Every pixel is active at first, one whose confidence is NaN too: so a constant.
        shape = b.op("Shape", confidence)
        true = onnx.helper.make_tensor("value", TensorProto.BOOL, [1], [True])
        active = b.op("ConstantOfShape", shape, value=true)
        numbers = b.op("Cast", active, name="one", to=TensorProto.INT32)
    previous: Region | None = None
    for stage in range(2, NUMBER_OF_STAGES + 1):
        with b.path(f"stage{stage}"):
            rho = b.op("Gather", RHO, b.constant(stage - 2, np.int64), name=RHO)
            region = b.select(merged_confidence, active, rho)
            if previous is None:
                x = b.region(REGION_GATHER, name="enter", region=region, x=x)
            else:
                x = b.region(
                    REGION_RESTRICT, name="enter", region=region, x=x, index=previous.index
                )
            x = emit(model.stages[stage - 1], b, x, region)
        with b.path(f"head{stage}"):
            p, c = _emit_probabilities(b, emit(model.heads[stage - 1], b, x, region))
            merged = b.region(REGION_SCATTER, name="merge", region=region, x=p, base=merged)
            merged_confidence = b.region(
                REGION_SCATTER, name="merge_confidence", region=region, x=c, base=merged_confidence
            )
        with b.path(STAGES):
            numbers = b.op(
                "Add", numbers, b.op("Cast", region.hard, name="reached", to=TensorProto.INT32)
            )
        active, previous = region.hard, region
    _emit_labels(b, merged)
    _emit_map(b, b.op("Cast", numbers, name=f"{STAGES}/cast", to=TensorProto.UINT8), STAGES)
    _emit_map(b, merged_confidence, CONFIDENCE)
    return _finish(
        b,
        info,
        [image_input(), rho_input()],
        [
            labels_output(),
            map_output(STAGES, TensorProto.UINT8),
            map_output(CONFIDENCE, TensorProto.FLOAT),
        ],
    )


def export_dense(
    model: Dense, info: ModelInfo, mean: Sequence[float], std: Sequence[float]
) -> onnx.ModelProto:
    """A dense network as exchange ONNX: ``image`` in, ``labels`` and ``confidence`` out.

    Args:
        model: a dense network.
        info: for the metadata.
        mean: of each input channel, BGR, in units of 0..255.
        std: standard deviation of each input channel, likewise.
    """
    model = model.eval()
    b = GraphBuilder()
    x = _emit_input(b, mean, std)
    for number, stage in enumerate(model.stages, start=1):
        with b.path(f"stage{number}"):
            x = emit(stage, b, x, None)
    with b.path(f"head{NUMBER_OF_STAGES}"):
        probabilities, confidence = _emit_probabilities(b, emit(model.heads[0], b, x, None))
    _emit_labels(b, probabilities)
    _emit_map(b, confidence, CONFIDENCE)
    outputs = [labels_output(), map_output(CONFIDENCE, TensorProto.FLOAT)]
    return _finish(b, info, [image_input()], outputs)


def _finish(
    b: GraphBuilder,
    info: ModelInfo,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    model = b.model(inputs, outputs, info.name)
    write_info(model, info)
    onnx.checker.check_model(model, full_check=True)
    return model
