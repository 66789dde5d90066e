"""Convolutions on the map, and the operators fused into them.

The executor has one fusion, on standard operators only, which TensorRT performs as well: the sum
and the ReLU after a convolution become part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gpubench.nodes import Step
from lc_trt.compiler.graph import Graph

FORMS = ("fused", "plain")


@dataclass
class Convolution:
    """``relu(conv(x) + bias + other)``; the sum and the ReLU are optional.

    Attributes:
        strides, padding, dilations: in y and x; padding is the same at both ends.
        behind: further padding at the end, in y and x.
        groups: groups of channels.
        has_bias: whether there is a bias.
        other: whether a tensor is added.
        relu: whether ReLU is applied.
        form: ``fused`` computes convolution, bias, sum and ReLU in one cuDNN kernel, if there is a
            ReLU; ``plain`` adds and applies ReLU with torch, in place.
    """

    strides: list[int]
    padding: list[int]
    dilations: list[int]
    groups: int
    has_bias: bool
    behind: tuple[int, int] = (0, 0)
    other: bool = False
    relu: bool = False
    form: str = "plain"

    def __call__(self, x: Tensor, weight: Tensor, *rest: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: [N, Cin, H, W].
            weight: [Cout, Cin / groups, kh, kw], of the same type and layout.
            rest: the bias [Cout] and the summand, in the shape of the result, if any.
        """
        bias = rest[0] if self.has_bias else None
        other = rest[-1] if self.other else None
        if any(self.behind):
            bottom, right = self.behind
            x = functional.pad(x, (0, right, 0, bottom))
        place = (self.strides, self.padding, self.dilations, self.groups)
        if self.form == "fused" and self.relu:
            if other is None:
                return torch.cudnn_convolution_relu(x, weight, bias, *place)
            return torch.cudnn_convolution_add_relu(x, weight, other, 1.0, bias, *place)
        y = functional.conv2d(x, weight, bias, *place)
        if other is not None:
            y = y.add_(other)
        return y.relu_() if self.relu else y


def fuse(
    steps: Sequence[Step],
    outputs: Collection[str],
    graph: Graph,
    form: str,
) -> list[Step]:
    """Fuse sums and ReLUs into the preceding convolution.

    Requires that intermediate tensors have no other readers and that summands have the same shape.
    Of two added convolutions, the sum is fused into the later one.

    Args:
        steps: steps of a model, in order.
        outputs: tensors that are read after the pass.
        graph: the model, for shapes.
        form: form of the convolutions, one of `FORMS`.

    Returns:
        The fused steps in a valid order.
    """
    uses = Counter([*outputs, *(name for step in steps for name in step.reads)])
    open_convs: dict[str, Step] = {}  # steps that may still be fused into, by output
    fused: list[Step] = []
    for step in steps:
        conv = _conv_to_join(step, open_convs, uses, graph)
        if conv is None:
            fused.append(step)
        else:
            del open_convs[conv.writes[0]]
            # Moved here, because the summand may be computed after its old position.
            fused.remove(conv)
            fused.append(conv)
            _join(conv, step)
            step = conv
        if isinstance(step.run, Convolution):
            step.run.form = form
            if not step.run.relu:
                open_convs[step.writes[0]] = step
    return fused


def _conv_to_join(
    step: Step,
    open_convs: Mapping[str, Step],
    uses: Mapping[str, int],
    graph: Graph,
) -> Step | None:
    if step.operator not in ("Add", "Relu"):
        return None
    convs = [conv for name, conv in open_convs.items() if name in step.reads and uses[name] == 1]
    if step.operator == "Add":
        same = len({graph.shape(name) for name in step.reads}) == 1
        convs = [conv for conv in convs if same and not _convolution(conv).other]
    return convs[-1] if convs else None


def _join(conv: Step, step: Step) -> None:
    if step.operator == "Add":
        (other,) = (name for name in step.reads if name != conv.writes[0])
        conv.reads = (*conv.reads, other)
        _convolution(conv).other = True
    else:
        _convolution(conv).relu = True
    conv.writes = step.writes


def _convolution(step: Step) -> Convolution:
    assert isinstance(step.run, Convolution)
    return step.run
