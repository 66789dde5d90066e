"""Emitters of layers, for dense maps and for compact rows alike."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.operator_schema import Region
from lc_trt.ir.region_ops import REGION_CONV, REGION_MAX_POOL
from lc_trt.model import layers


def array(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Values of a parameter or buffer.

    Args:
        tensor: floating-point tensor on any device.
    """
    values: npt.NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return values


@functools.singledispatch
def emit(module: nn.Module, b: GraphBuilder, x: str, region: Region | None) -> str:
    """Add the nodes of a module.

    Args:
        module: a module type with an emitter.
        b: builder for the nodes.
        x: input: a map, or a region's rows.
        region: region of the rows; None for a map. A convolution may read the rows of a larger
            region or of a whole map: those that ``index`` numbers.

    Returns:
        The output: a map, or rows.

    Raises:
        TypeError: a module type without emitter.
    """
    raise TypeError(f"no ONNX form for {type(module).__name__}; add an emitter in ir/export/")


@emit.register
def _(module: layers.Conv, b: GraphBuilder, x: str, region: Region | None) -> str:
    if region is not None:
        return _finish_conv(module, b, _region_conv(module.conv, b, x, region))
    conv = module.conv
    bias = [] if conv.bias is None else [b.weight("bias", array(conv.bias))]
    attributes: dict[str, Any] = {"pads": [int(p) for p in conv.padding] * 2}
    if module.same_upper:
        attributes = {"auto_pad": "SAME_UPPER"}
    if conv.groups > 1:
        attributes["group"] = conv.groups
    y = b.op(
        "Conv", x, b.weight("weight", array(conv.weight)), *bias, name="conv",
        kernel_shape=list(conv.kernel_size), strides=list(conv.stride),
        dilations=list(conv.dilation), **attributes,
    )  # fmt: skip
    return _finish_conv(module, b, y)


def _region_conv(conv: nn.Conv2d, b: GraphBuilder, x: str, region: Region) -> str:
    value = np.zeros(conv.out_channels, np.float32) if conv.bias is None else array(conv.bias)
    return b.region(
        REGION_CONV, name="conv", region=region, x=x, weight=b.weight("weight", array(conv.weight)),
        bias=b.weight("bias", value), residual=b.constant([[0.0]], np.float32),
        kernel_shape=list(conv.kernel_size), dilations=list(conv.dilation),
    )  # fmt: skip


def _finish_conv(module: layers.Conv, b: GraphBuilder, y: str) -> str:
    """Batch norm and activation."""
    if (bn := module.bn) is not None:
        parameters = {
            "scale": bn.weight, "shift": bn.bias, "mean": bn.running_mean, "var": bn.running_var,
        }  # fmt: skip
        names = [b.weight(f"bn_{key}", array(value)) for key, value in parameters.items()]
        y = b.op("BatchNormalization", y, *names, name="bn", epsilon=float(bn.eps))
    if not module.relu:
        return y
    if module.ceiling is None:
        return b.op("Relu", y, name="relu")
    bounds = (b.constant(bound, np.float32) for bound in (0.0, module.ceiling))
    return b.op("Clip", y, *bounds, name="clip")


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
