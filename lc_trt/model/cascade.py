"""The Layer Cascade network: three stages, a head each, and pixels that leave early."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from lc_trt.data.classes import IGNORE
from lc_trt.errors import UsageError
from lc_trt.model.irnet import Trunk
from lc_trt.model.layers import Chain, Conv, Dropout, Sum, Upsample
from lc_trt.model.region import CompactRegion, Region

OUTPUT_STRIDE = 8
ASPP_DILATIONS = (1, 6, 12, 18, 24)
DROPOUT = 0.1


def classifier(cin: int, classes: int, form: str, plain_kernel: int) -> nn.Module:
    """The last layer of a head: ``plain`` is one convolution, ``aspp`` the sum of five."""
    if form == "plain":
        return Conv(cin, classes, plain_kernel, norm=False, relu=False)
    if form == "aspp":
        return Sum(
            Conv(cin, classes, 3, dilation=d, norm=False, relu=False) for d in ASPP_DILATIONS
        )
    raise UsageError(f"unknown head form {form!r}: expected plain or aspp")


def early_head(cin: int, hidden: int, classes: int, form: str) -> Chain:
    """Heads 1 and 2: 3x3, 1x1, dropout, classifier."""
    return Chain(
        [
            Conv(cin, hidden, 3, norm=False),
            Conv(hidden, hidden, 1, norm=False),
            Dropout(DROPOUT),
            classifier(hidden, classes, form, 1),
        ]
    )


def final_head(cin: int, classes: int, form: str) -> Chain:
    """Head 3 (and the dense network's only one): dropout, classifier."""
    return Chain([Dropout(DROPOUT), classifier(cin, classes, form, 3)])


@dataclass
class CascadeOutput:
    """What one pass gives, at the feature map's size h x w.

    Attributes:
        probabilities: float [N, K, h, w], each pixel's from the stage it left at.
        confidence: float [N, 1, h, w], the largest of them.
        stages: uint8 [N, 1, h, w], 1, 2 or 3.
        logits: a dense map per stage, float [N, K, h, w]; stage s > 1 has its own
            logits inside its region and the previous stage's (detached) outside.
        regions: the regions of stages 2 and 3.
        features: stage 1's, float [N, C, h, w].
    """

    probabilities: Tensor
    confidence: Tensor
    stages: Tensor
    logits: list[Tensor]
    regions: list[Region]
    features: Tensor


class Cascade(nn.Module):
    """Three stages with a classifier each; see `CascadeOutput`."""

    def __init__(self, trunk: Trunk, classes: int, form: str, hidden: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(trunk.stages)
        self.heads = nn.ModuleList(
            [
                early_head(trunk.channels[0], hidden, classes, form),
                early_head(trunk.channels[1], hidden, classes, form),
                final_head(trunk.channels[2], classes, form),
            ]
        )
        self.classes = classes
        self.upsample = Upsample(OUTPUT_STRIDE)

    @override
    def forward(
        self,
        x: Tensor,
        rho: Sequence[float] | Tensor,
        region: type[Region] = CompactRegion,
        truth: Tensor | None = None,
    ) -> CascadeOutput:
        """``x`` float [N, 3, H, W], normalised BGR; ``rho`` one threshold a boundary.

        A pixel leaves where its largest probability is strictly greater than the threshold.
        ``truth``, int64 [N, 1, h, w], asks for the probability of the true class instead, where
        a pixel has one (255 has none): a way to train, impossible later.
        """
        first = features = self.stages[0](x)
        logits = self.heads[0](features)
        probabilities = logits.float().softmax(1)
        active = torch.ones_like(probabilities[:, :1], dtype=torch.bool)
        stages = active.to(torch.uint8)
        all_logits, regions = [logits], list[Region]()
        for number in (2, 3):
            # Negated, so that a pixel whose confidence is NaN counts as hard.
            active = active & ~(_sureness(probabilities, truth) > rho[number - 2])
            here = region(active)
            features = here.restrict(features, regions[-1]) if regions else here.gather(features)
            features = self.stages[number - 1](features, here)
            logits = self.heads[number - 1](features, here)
            regions.append(here)
            all_logits.append(here.scatter(logits, all_logits[-1].detach()))
            probabilities = here.scatter(logits.float().softmax(1), probabilities)
            stages = stages + active
        confidence = probabilities.amax(1, keepdim=True)
        return CascadeOutput(probabilities, confidence, stages, all_logits, regions, first)

    def deep(self, x: Tensor) -> list[Tensor]:
        """Logits of all three heads on all pixels (deep supervision), [N, K, h, w] each."""
        logits = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            logits.append(head(x))
        return logits

    def final(self, features: Tensor) -> Tensor:
        """Stage 3's logits on all pixels, [N, K, h, w], from stage 1's features."""
        logits: Tensor = self.heads[2](self.stages[2](self.stages[1](features)))
        return logits


def _sureness(probabilities: Tensor, truth: Tensor | None) -> Tensor:
    """The probability that decides whether a pixel leaves, [N, 1, h, w]."""
    largest = probabilities.amax(1, keepdim=True)
    if truth is None:
        return largest
    known = truth != IGNORE
    return torch.where(known, probabilities.gather(1, torch.where(known, truth, 0)), largest)


class Dense(nn.Module):
    """A network without early exits: its stages in order, then one head."""

    def __init__(self, stages: Iterable[Chain], head: Chain, classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList([head])
        self.classes = classes
        self.upsample = Upsample(OUTPUT_STRIDE)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Logits float [N, K, h, w] of a normalised BGR image, float [N, 3, H, W]."""
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.heads[0](x)
        return logits
