"""The region convolutions of a network, read off the plans that the cascade runs by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from gpubench.plan import ConvStep, Plan, plan_of
from lc_trt.model.cascade import OUTPUT_STRIDE, Cascade
from lc_trt.model.presets import build_cascade

CLASSES = 21  # PASCAL VOC, the published tables' data set


@dataclass(frozen=True)
class Layer:
    """A region convolution's shape.

    Attributes:
        segments: (channels of the buffer, from, to) of each part that is read.
        window: kernel height and width, dilation height and width.
    """

    segments: tuple[tuple[int, int, int], ...]
    out_channels: int
    window: tuple[int, int, int, int]
    relu: bool
    residual: bool

    @property
    def channels(self) -> int:
        """Input channels."""
        return sum(end - begin for _, begin, end in self.segments)

    @property
    def taps(self) -> int:
        """Positions of the window."""
        return self.window[0] * self.window[1]

    @property
    def name(self) -> str:
        """Such as ``1x7/1,2 192>256 +r``: window, dilation, channels, residual."""
        kh, kw, dh, dw = self.window
        dilation = "" if (dh, dw) == (1, 1) else f"/{dh},{dw}"
        cin = "+".join(str(end - begin) for _, begin, end in self.segments)
        return f"{kh}x{kw}{dilation} {cin}>{self.out_channels}{' +r' if self.residual else ''}"


def feature_map(batch: int, size: tuple[int, int]) -> tuple[int, int, int]:
    """(N, h, w) of the map that stages 2 and 3 work on."""
    height, width = (-(-side // OUTPUT_STRIDE) for side in size)
    return batch, height, width


def layer_of(step: ConvStep, plan: Plan) -> Layer:
    """The shape of a step."""
    segments = tuple((plan.widths[p.buffer], p.begin, p.end) for p in step.x)
    return Layer(segments, len(step.bias), step.window, step.relu, step.residual is not None)


def plans(model: Cascade) -> list[Plan]:
    """Of stages 2 and 3, heads included."""
    widths = [model.heads[0][0].conv.in_channels]
    made = []
    for number in (1, 2):
        plan, (trunk, _) = plan_of(model.stages[number], model.heads[number], widths=widths)
        widths = [part.channels for part in trunk]
        made.append(plan)
    return made


def region_layers(preset: str) -> dict[Layer, int]:
    """Every shape of region convolution of a preset, and how often it occurs."""
    with torch.device("meta"):  # shapes only: no weights are made
        model = build_cascade(preset, CLASSES)
        return dict(Counter(layer_of(s, plan) for plan in plans(model) for s in plan.convs()))
