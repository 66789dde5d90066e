"""ONNX operators in torch: those that occur in our networks after `lower_tensorrt`.

Maps [N, C, H, W] are channels last, like the normalised image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from gpubench.nodes import TORCH_TYPES, OperatorNode, Step
from gpubench.window_operators import average_pool, conv, max_pool

Builder = Callable[[OperatorNode], Step]
_BUILDERS: dict[str, Builder] = {"Conv": conv, "MaxPool": max_pool, "AveragePool": average_pool}


def standard_step(node: OperatorNode) -> Step:
    """The step of a node of ONNX's own domain.

    Args:
        node: node of the lowered model.

    Raises:
        LcTrtError: an operator, attribute or input that is not implemented; names the node.
    """
    if node.proto.domain not in ("", "ai.onnx") or node.proto.op_type not in _BUILDERS:
        raise node.refusal("no such operator")
    step = _BUILDERS[node.proto.op_type](node)
    node.check_read()
    return step


def _operator(name: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        _BUILDERS[name] = builder
        return builder

    return register


def _binary(name: str, run: Callable[[Tensor, Tensor], Tensor]) -> None:
    _BUILDERS[name] = lambda node: node.step(run, node.tensor("A"), node.tensor("B"))


_binary("Add", torch.add)
_binary("Sub", torch.sub)
_binary("Mul", torch.mul)


@_operator("Relu")
def _relu(node: OperatorNode) -> Step:
    return node.step(torch.relu, node.tensor("X"))


@_operator("Clip")
def _clip(node: OperatorNode) -> Step:
    low, high = (
        None if node.optional(n) is None else float(node.constant(n)) for n in ("min", "max")
    )
    return node.step(lambda x: x.clamp(low, high), node.tensor("input"))


@_operator("GlobalAveragePool")
def _global_average_pool(node: OperatorNode) -> Step:
    return node.step(lambda x: x.mean((2, 3), keepdim=True), node.tensor("X"))


@_operator("Where")
def _where(node: OperatorNode) -> Step:
    return node.step(torch.where, *(node.tensor(name) for name in ("condition", "X", "Y")))


@_operator("Reshape")
def _reshape(node: OperatorNode) -> Step:
    node.expect(allowzero=0)
    sides = node.integers("shape") or []
    if 0 in sides:
        raise node.refusal(f"its shape is {sides}, expected no 0")
    return node.step(lambda x: x.reshape(sides), node.tensor("data"))


@_operator("Cast")
def _cast(node: OperatorNode) -> Step:
    node.expect(saturate=1)
    to = node.attribute("to")
    if to not in TORCH_TYPES:
        raise node.refusal(f"a cast to type {to}")
    return node.step(lambda x: x.to(TORCH_TYPES[to]), node.tensor("input"))


@_operator("Concat")
def _concat(node: OperatorNode) -> Step:
    axis = node.attribute("axis")
    return node.step(lambda *parts: torch.cat(parts, axis), *node.tensors("inputs"))


@_operator("Softmax")
def _softmax(node: OperatorNode) -> Step:
    axis = node.attribute("axis")
    return node.step(lambda x: x.softmax(axis), node.tensor("input"))


@_operator("ReduceMax")
def _reduce_max(node: OperatorNode) -> Step:
    axes, keep = node.integers("axes"), bool(node.attribute("keepdims"))
    if not axes:
        raise node.refusal("no axes")
    node.expect(noop_with_empty_axes=(0, 1))
    return node.step(lambda x: x.amax(axes, keep), node.tensor("data"))


@_operator("ArgMax")
def _arg_max(node: OperatorNode) -> Step:
    node.expect(select_last_index=0)
    axis, keep = node.attribute("axis"), bool(node.attribute("keepdims"))
    return node.step(lambda x: x.argmax(axis, keep), node.tensor("data"))


@_operator("Transpose")
def _transpose(node: OperatorNode) -> Step:
    order = list(node.attribute("perm"))
    return node.step(lambda x: x.permute(order), node.tensor("data"))


@_operator("Squeeze")
def _squeeze(node: OperatorNode) -> Step:
    axes = node.integers("axes")
    if not axes:
        raise node.refusal("no axes")
    return node.step(lambda x: x.squeeze(tuple(axes)), node.tensor("data"))


@_operator("Gather")
def _gather(node: OperatorNode) -> Step:
    axis, indices = node.attribute("axis"), node.constant("indices")
    if indices.ndim > 1:
        raise node.refusal(f"indices of rank {indices.ndim}, expected one index or a list")
    if not indices.ndim:
        return node.step(lambda x: x.select(axis, int(indices)), node.tensor("data"))
    return node.step(
        lambda x, chosen: x.index_select(axis, chosen), node.tensor("data"), node.tensor("indices")
    )


@_operator("Slice")
def _slice(node: OperatorNode) -> Step:
    begins, ends = node.integers("starts") or [], node.integers("ends") or []
    axes = node.integers("axes")
    axes = list(range(len(begins))) if axes is None else axes
    steps = node.integers("steps") or [1] * len(axes)
    if min(steps) < 1:
        raise node.refusal(f"its steps are {steps}, expected positive ones")

    def run(x: Tensor) -> Tensor:
        cut = [slice(None)] * x.dim()
        for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
            cut[axis] = slice(begin, end, step)
        return x[tuple(cut)]

    return node.step(run, node.tensor("data"))


@_operator("Pad")
def _pad(node: OperatorNode) -> Step:
    node.expect(mode="constant")
    pads, axes = node.integers("pads") or [], node.integers("axes")
    value = 0.0 if node.optional("constant_value") is None else node.constant("constant_value")
    rank = len(pads) // 2

    def run(x: Tensor) -> Tensor:
        both = [0] * 2 * x.dim()
        for place, axis in enumerate(range(rank) if axes is None else axes):
            last = x.dim() - 1 - axis % x.dim()  # torch counts from the last axis
            both[2 * last : 2 * last + 2] = pads[place], pads[rank + place]
        return functional.pad(x, both, value=float(value))

    return node.step(run, node.tensor("data"))


@_operator("Resize")
def _resize(node: OperatorNode) -> Step:
    node.expect(antialias=0, exclude_outside=0, keep_aspect_ratio_policy="stretch")
    nearest = node.attribute("mode") == b"nearest"
    if nearest:
        node.expect(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    else:
        node.expect(mode="linear", coordinate_transformation_mode="half_pixel")
    scales, sizes = None, node.integers("sizes")
    if sizes is None:
        scales = node.constant("scales").tolist()
        if len(scales) != 4 or scales[:2] != [1, 1]:
            raise node.refusal(f"its scales are {scales}, expected [1, 1, y, x]")
    elif len(sizes) != 4 or tuple(sizes[:2]) != node.map_type("X")[0][:2]:
        raise node.refusal(f"its sizes are {sizes}, expected those of 'X' but for y and x")
    for unused in ("cubic_coeff_a", "extrapolation_value", "nearest_mode"):  # of other modes
        node.attribute(unused)
    return node.step(
        lambda x: functional.interpolate(
            x,
            size=None if sizes is None else sizes[2:],
            scale_factor=None if scales is None else scales[2:],
            mode="nearest" if nearest else "bilinear",
            align_corners=None if nearest else False,
        ),
        node.tensor("X"),
    )


def _by_axis(value: Tensor, like: Tensor, axis: int) -> Tensor:
    """Reshape a scale or zero point for broadcasting."""
    sides = [1] * like.dim()
    if value.numel() > 1:
        sides[axis] = value.numel()
    return value.view(sides)


@_operator("QuantizeLinear")
def _quantize(node: OperatorNode) -> Step:
    axis, zero = node.attribute("axis"), node.tensor("y_zero_point")
    node.expect(saturate=1, block_size=0, output_dtype=0, precision=0)

    def run(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        limits = torch.iinfo(zero.dtype)
        steps = (x / _by_axis(scale, x, axis)).round() + _by_axis(zero, x, axis).float()
        return steps.clamp(limits.min, limits.max).to(zero.dtype)

    return node.step(run, node.tensor("x"), node.tensor("y_scale"), zero)


@_operator("DequantizeLinear")
def _dequantize(node: OperatorNode) -> Step:
    axis = node.attribute("axis")
    node.expect(block_size=0, output_dtype=0)
    zero = node.optional("x_zero_point")

    def run(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        steps = x.float() if zero is None else x.float() - _by_axis(zero, x, axis).float()
        return steps * _by_axis(scale, x, axis)

    reads = (node.tensor("x"), node.tensor("x_scale"), *(() if zero is None else (zero,)))
    return node.step(run, *reads)
