"""Convolution and pooling in torch, for maps [N, C, H, W] that are channels last."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gpubench.convolution import Convolution
from gpubench.nodes import OperatorNode, Step


def _symmetric(node: OperatorNode, kernel: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Strides, padding and dilations of a window; torch pads both ends equally."""
    node.expect(auto_pad="NOTSET")
    rank = len(kernel)
    pads = list(node.attribute("pads") or [0] * 2 * rank)
    if pads[:rank] != pads[rank:]:
        raise node.refusal(f"its pads are {pads}, expected the same at both ends")
    strides = list(node.attribute("strides") or [1] * rank)
    return strides, pads[:rank], list(node.attribute("dilations") or [1] * rank)


def _same_upper(
    node: OperatorNode, kernel: list[int]
) -> tuple[list[int], list[int], tuple[int, int]]:
    """Strides, padding at both ends, and further padding at the end, as ONNX defines SAME_UPPER."""
    (_, _, *sizes), _ = node.map_type("X")
    strides, padding, behind = list(node.attribute("strides") or [1, 1]), [], []
    for size, extent, stride in zip(sizes, kernel, strides, strict=True):
        if size is None:
            raise node.refusal("the size of its 'X' is not known")
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        padding.append(total // 2)
        behind.append(total % 2)
    return strides, padding, (behind[0], behind[1])


def conv(node: OperatorNode) -> Step:
    """The step of a Conv.

    Args:
        node: of this operator.
    """
    kernel = list(node.attribute("kernel_shape"))
    behind = (0, 0)
    if node.attribute("auto_pad") == b"SAME_UPPER":
        strides, padding, behind = _same_upper(node, kernel)
        dilations = [1] * len(kernel)
        node.expect(dilations=[dilations])
    else:
        strides, padding, dilations = _symmetric(node, kernel)
    bias = node.optional("B")
    group = node.attribute("group") or 1
    run = Convolution(strides, padding, dilations, group, has_bias=bias is not None, behind=behind)
    return node.step(run, node.tensor("X"), node.tensor("W"), *(() if bias is None else (bias,)))


def max_pool(node: OperatorNode) -> Step:
    """The step of a MaxPool.

    Args:
        node: of this operator.
    """
    kernel = list(node.attribute("kernel_shape"))
    strides, padding, dilations = _symmetric(node, kernel)
    node.expect(ceil_mode=0, storage_order=0)
    outside = [0] * len(kernel)
    if any(pad > size // 2 for pad, size in zip(padding, kernel, strict=True)):
        padding, outside = outside, padding  # more than torch's pooling supports

    def run(x: Tensor) -> Tensor:
        if any(outside):
            both = [pad for pad in reversed(outside) for _ in range(2)]
            x = functional.pad(x, both, value=float("-inf"))
        return functional.max_pool2d(x, kernel, strides, padding, dilations)

    return node.step(run, node.tensor("X"))


def average_pool(node: OperatorNode) -> Step:
    """The step of an AveragePool.

    Args:
        node: of this operator.
    """
    kernel = list(node.attribute("kernel_shape"))
    strides, padding, dilations = _symmetric(node, kernel)
    if dilations != [1] * len(kernel):
        raise node.refusal(f"its dilations are {dilations}, expected ones")
    node.expect(ceil_mode=0)
    every = bool(node.attribute("count_include_pad"))
    return node.step(
        lambda x: functional.avg_pool2d(x, kernel, strides, padding, count_include_pad=every),
        node.tensor("X"),
    )
