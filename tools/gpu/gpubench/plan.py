"""A stage of a cascade as a list of kernel calls on rows, fused as the compiler fuses for TensorRT.

* Batch norm is part of the weights, ReLU and residual part of the convolution.
* A concatenation is never stored: features are a list of parts, read as segments.
* 1x1 branches on the same input are one product.
* Where features in several parts are a residual, the convolution is cut by output channels, one
  launch a part.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lc_trt.model import layers

MAX_SEGMENTS = 8  # kMaxConvSegments of plugins/kernels/region_conv/region_conv.h


@dataclass(frozen=True)
class Part:
    """Channels ``begin`` to ``end`` of a buffer of rows."""

    buffer: int
    begin: int
    end: int

    @property
    def channels(self) -> int:
        """How many."""
        return self.end - self.begin


Features = tuple[Part, ...]


@dataclass
class ConvStep:
    """A region convolution.

    Attributes:
        weight: [Cout, kh, kw, Cin], what the kernel reads 16 bytes at a time.
        window: kernel height and width, dilation height and width.
        residual: a buffer as wide as the output; None for none.
        tactic: the kernel's variant; 0 lets it guess.
        scale, factor: of INT8, [Cout] for the sums and one for the residual.
    """

    name: str
    x: Features
    weight: Tensor
    bias: Tensor
    window: tuple[int, int, int, int]
    relu: bool
    residual: int | None
    out: int
    tactic: int = 0
    scale: Tensor | None = None
    factor: float = 1.0

    @property
    def macs(self) -> int:
        """Multiply-accumulates a row."""
        return self.weight.numel()

    @property
    def reads(self) -> set[int]:
        """Buffers."""
        residual = set() if self.residual is None else {self.residual}
        return {part.buffer for part in self.x} | residual


@dataclass
class PoolStep:
    """A region max pool of a whole buffer."""

    name: str
    x: int
    window: tuple[int, int, int, int]
    out: int

    @property
    def reads(self) -> set[int]:
        """Buffers."""
        return {self.x}


@dataclass
class Plan:
    """Steps on buffers [R, width].

    Attributes:
        widths: channels of each buffer; the first ones are what the stage enters with.
        steps: in order.
    """

    widths: list[int]
    steps: list[ConvStep | PoolStep] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)

    @contextmanager
    def inside(self, name: object) -> Iterator[None]:
        """Names of the steps made inside begin with this one."""
        self._path.append(str(name))
        yield
        self._path.pop()

    @property
    def path(self) -> str:
        """The name of what is emitted now."""
        return "/".join(self._path)

    def buffer(self, width: int) -> int:
        """A new buffer."""
        self.widths.append(width)
        return len(self.widths) - 1

    def whole(self, number: int) -> Features:
        """All channels of a buffer."""
        return (Part(number, 0, self.widths[number]),)

    def convs(self) -> list[ConvStep]:
        """The region convolutions among the steps."""
        return [step for step in self.steps if isinstance(step, ConvStep)]

    def conv(
        self,
        x: Features,
        folded: tuple[Tensor, Tensor],
        window: tuple[int, int, int, int],
        relu: bool,
        residual: Features | None = None,
    ) -> Features:
        """Add a convolution of ``folded`` weights (OHWI) and bias; its output."""
        if len(x) > MAX_SEGMENTS:
            raise ValueError(f"{self.path}: {len(x)} segments, the kernel takes {MAX_SEGMENTS}")
        weight, bias = folded
        if residual is None:
            out = self.buffer(len(bias))
            self.steps.append(ConvStep(self.path, x, weight, bias, window, relu, None, out))
            return self.whole(out)
        outputs, begin = list[Part](), 0
        for number, part in enumerate(residual):
            if part.channels != self.widths[part.buffer]:
                raise ValueError(f"{self.path}: a residual that is a part of a buffer")
            name = self.path if len(residual) == 1 else f"{self.path}/part{number}"
            end = begin + part.channels
            out = self.buffer(part.channels)
            w, b = weight[begin:end], bias[begin:end]
            self.steps.append(ConvStep(name, x, w, b, window, relu, part.buffer, out))
            outputs += self.whole(out)
            begin = end
        return tuple(outputs)


def fold(conv: layers.Conv, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Weights [Cout, Cin, kh, kw] and bias [Cout], batch norm and ``scale`` in them, float32."""
    weight = conv.conv.weight.detach().float()
    bias = (
        weight.new_zeros(weight.shape[0]) if conv.conv.bias is None else conv.conv.bias.detach()
    ).float()
    if conv.bn is not None:
        bn = conv.bn
        factor = bn.weight.detach() * (bn.running_var + bn.eps).rsqrt()
        weight = weight * factor[:, None, None, None]
        bias = (bias - bn.running_mean) * factor + bn.bias.detach()
    return weight * scale, bias * scale


def _rows_first(folded: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return folded[0].permute(0, 2, 3, 1).contiguous(), folded[1]


def _window(conv: layers.Conv) -> tuple[int, int, int, int]:
    kernel, dilation = conv.conv.kernel_size, conv.conv.dilation
    return kernel[0], kernel[1], dilation[0], dilation[1]


def plan_of(*modules: nn.Module, widths: list[int]) -> tuple[Plan, list[Features]]:
    """The steps of modules one after the other, and the features behind each.

    Args:
        widths: channels of the parts that the first module's input is made of.
    """
    plan = Plan(list(widths))
    x: Features = tuple(Part(i, 0, width) for i, width in enumerate(widths))
    outputs = []
    for number, module in enumerate(modules):
        with plan.inside("stage" if number == 0 else "head"):
            x = emit(module, plan, x)
        outputs.append(x)
    return plan, outputs


@functools.singledispatch
def emit(module: nn.Module, plan: Plan, x: Features) -> Features:
    """Add a module's steps; its output."""
    raise TypeError(f"{plan.path}: no kernels for {type(module).__name__} on a region's rows")


@emit.register
def _(module: layers.Conv, plan: Plan, x: Features) -> Features:
    return plan.conv(x, _rows_first(fold(module)), _window(module), module.relu)


@emit.register
def _(module: layers.MaxPool, plan: Plan, x: Features) -> Features:
    (part,) = x  # a pool reads whole buffers, as its kernel does
    out = plan.buffer(part.channels)
    window = (module.kernel, module.kernel, module.dilation, module.dilation)
    plan.steps.append(PoolStep(plan.path, part.buffer, window, out))
    return plan.whole(out)


@emit.register
def _(module: layers.Chain, plan: Plan, x: Features) -> Features:
    for number, child in enumerate(module):
        with plan.inside(number):
            x = emit(child, plan, x)
    return x


@emit.register
def _(module: layers.Concat, plan: Plan, x: Features) -> Features:
    branches = [list(b) if isinstance(b, layers.Chain) else [b] for b in module.branches]
    first = {
        number: branch[0]
        for number, branch in enumerate(branches)
        if isinstance(branch[0], layers.Conv) and _window(branch[0])[:2] == (1, 1)
    }
    starts = dict.fromkeys(range(len(branches)), x)
    if len(first) > 1 and len({conv.relu for conv in first.values()}) == 1:
        folded = [fold(conv) for conv in first.values()]
        with plan.inside("merged"):
            merged = torch.cat([w for w, _ in folded]), torch.cat([b for _, b in folded])
            (joint,) = plan.conv(
                x, _rows_first(merged), (1, 1, 1, 1), next(iter(first.values())).relu
            )
        begin = 0
        for number, (_, bias) in zip(first, folded, strict=True):
            starts[number] = (Part(joint.buffer, begin, begin + len(bias)),)
            branches[number] = branches[number][1:]
            begin += len(bias)
    outputs: Features = ()
    for number, branch in enumerate(branches):
        y = starts[number]
        for place, child in enumerate(branch):
            with plan.inside(f"branch{number}/{place}"):
                y = emit(child, plan, y)
        outputs += y
    return outputs + x if module.identity else outputs


@emit.register
def _(module: layers.Residual, plan: Plan, x: Features) -> Features:
    if module.shortcut is not None or module.project.relu:
        raise TypeError(f"{plan.path}: a residual with a shortcut has no fused form on rows")
    y = emit(module.branches, plan, x)
    with plan.inside("project"):
        folded = _rows_first(fold(module.project, module.scale))
        return plan.conv(y, folded, _window(module.project), module.relu, residual=x)


@emit.register
def _(module: layers.Sum, plan: Plan, x: Features) -> Features:
    """A sum is a chain of residuals."""
    total: Features | None = None
    for number, branch in enumerate(module.branches):
        if not isinstance(branch, layers.Conv) or branch.relu:
            raise TypeError(f"{plan.path}: a sum of what is no plain convolution")
        with plan.inside(f"branch{number}"):
            total = plan.conv(x, _rows_first(fold(branch)), _window(branch), False, residual=total)
    assert total is not None
    return total


@emit.register
def _(module: layers.Dropout, plan: Plan, x: Features) -> Features:
    return x
