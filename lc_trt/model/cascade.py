"""The Layer Cascade network: three stages, each with a head, and early exit per pixel."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from lc_trt.data.classes import IGNORE
from lc_trt.model.heads import early_head, final_head
from lc_trt.model.irnet import Trunk
from lc_trt.model.layers import Chain, Upsample
from lc_trt.model.region import CompactRegion, Region, RegionForm

OUTPUT_STRIDE = 8


@dataclass
class CascadeOutput:
    """Output of a forward pass, at the feature map's size (h, w).

    Attributes:
        probabilities: float [N, K, h, w]; each pixel's from the stage it exited at.
        confidence: float [N, 1, h, w]; the exit score per pixel (`lc_trt.model.exits`), and the
            largest probability where it did not exit early.
        stages: uint8 [N, 1, h, w]; the exit stage per pixel, 1, 2 or 3.
        logits: one float [N, K, h, w] per stage; stages 2 and 3 have their own logits inside their
            region and the previous stage's, detached, outside.
        regions: the regions of stages 2 and 3.
        maps: of stage 1, which the later stages read (`StagedNetwork.trunk`).
    """

    probabilities: Tensor
    confidence: Tensor
    stages: Tensor
    logits: list[Tensor]
    regions: list[Region]
    maps: Sequence[Tensor]


class StagedNetwork(nn.Module, abc.ABC):
    """A network of three stages with early exit per pixel, as training and validation see it.

    Attributes:
        strides: of each stage's logits, in pixels.
        exact: whether a pixel that goes on gets the whole network's logits, whoever else goes on;
            such a network needs no fine-tuning with exits.
        classes: number of classes.
        upsample: brings merged maps to the image's size.
    """

    strides: tuple[int, int, int]
    exact: bool
    classes: int
    upsample: Upsample

    @abc.abstractmethod
    def trunk(self, x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Stage 1 and its head.

        Args:
            x: normalised BGR images, float [N, 3, H, W].

        Returns:
            Logits, float [N, K, h, w], and the dense maps that the later stages read.
        """

    @abc.abstractmethod
    def later(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Run stages 2 and 3 and their heads on all pixels.

        Args:
            maps: of `trunk`.

        Returns:
            Logits, two float [N, K, h, w].
        """

    @abc.abstractmethod
    def after_trunk(
        self,
        logits: Tensor,
        maps: Sequence[Tensor],
        rho: Sequence[float] | Tensor,
        region: RegionForm = CompactRegion,
        truth: Tensor | None = None,
    ) -> CascadeOutput:
        """Run the cascade behind stage 1.

        Args:
            logits: of `trunk`.
            maps: of `trunk`.
            rho: one threshold per boundary.
            region: implementation of region operators.
            truth: as for `forward`.
        """

    @override
    def forward(
        self,
        x: Tensor,
        rho: Sequence[float] | Tensor,
        region: RegionForm = CompactRegion,
        truth: Tensor | None = None,
    ) -> CascadeOutput:
        """Run the cascade; a pixel exits where its probability is strictly greater than rho.

        Args:
            x: normalised BGR images, float [N, 3, H, W].
            rho: one threshold per boundary.
            region: implementation of region operators.
            truth: class index per pixel, int64 [N, 1, h, w], for training: compare the probability
                of the true class instead of the largest, except where it is 255.

        Raises:
            ValueError: ``truth`` for a network whose stages differ in stride.
        """
        return self.after_trunk(*self.trunk(x), rho, region, truth)

    def deep(self, x: Tensor) -> list[Tensor]:
        """Run all stages and heads on all pixels (deep supervision).

        Args:
            x: normalised BGR images, float [N, 3, H, W].

        Returns:
            Logits, one float [N, K, h, w] per stage, at `strides`.
        """
        logits, maps = self.trunk(x)
        return [logits, *self.later(maps)]

    def final(self, maps: Sequence[Tensor]) -> Tensor:
        """Run stages 2 and 3 and the last head on all pixels.

        Args:
            maps: of `trunk`.

        Returns:
            Logits of stage 3, float [N, K, h, w].
        """
        return self.later(maps)[-1]

    @abc.abstractmethod
    def exits(
        self, x: Tensor, logits: Sequence[Tensor], rho: Sequence[float] | Tensor
    ) -> tuple[Tensor, Tensor]:
        """The result of the cascade, given the logits of all stages.

        Args:
            x: the images that ``deep`` was given.
            logits: what it returned.
            rho: one threshold per boundary.

        Returns:
            Merged probabilities, float32 [N, K, h, w], and exit stages, uint8 [N, 1, h, w], at the
            last stage's stride.
        """

    @abc.abstractmethod
    def new_parameters(self) -> list[nn.Parameter]:
        """Parameters that start at random, or that a run trains faster: heads."""

    @abc.abstractmethod
    def first_stage(self) -> list[nn.Module]:
        """The modules of stage 1 and its head, which a phase may keep fixed."""


class Cascade(StagedNetwork):
    """Three stages, each with a head.

    Args:
        trunk: the stages.
        classes: number of classes.
        form: of the classifiers, ``plain`` or ``aspp``.
        hidden: channels inside heads 1 and 2.
    """

    strides = (OUTPUT_STRIDE,) * 3
    exact = False

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
    def trunk(self, x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        features = self.stages[0](x)
        return self.heads[0](features), (features,)

    @override
    def later(self, maps: Sequence[Tensor]) -> list[Tensor]:
        (x,) = maps
        logits = []
        for stage, head in zip(self.stages[1:], self.heads[1:], strict=True):
            x = stage(x)
            logits.append(head(x))
        return logits

    @override
    def final(self, maps: Sequence[Tensor]) -> Tensor:
        (features,) = maps
        logits: Tensor = self.heads[2](self.stages[2](self.stages[1](features)))
        return logits

    @override
    def after_trunk(
        self,
        logits: Tensor,
        maps: Sequence[Tensor],
        rho: Sequence[float] | Tensor,
        region: RegionForm = CompactRegion,
        truth: Tensor | None = None,
    ) -> CascadeOutput:
        (features,) = maps
        probabilities = logits.float().softmax(1)
        active = torch.ones_like(probabilities[:, :1], dtype=torch.bool)
        stages = active.to(torch.uint8)
        all_logits, regions = [logits], list[Region]()
        for number in (2, 3):
            # Negated, so that a pixel whose confidence is NaN stays active.
            active = active & ~(_exit_score(probabilities, truth) > rho[number - 2])
            current = region(active)
            if regions:
                features = current.restrict(features, regions[-1])
            else:
                features = current.gather(features)
            features = self.stages[number - 1](features, current)
            logits = self.heads[number - 1](features, current)
            regions.append(current)
            all_logits.append(current.scatter(logits, all_logits[-1].detach()))
            probabilities = current.scatter(logits.float().softmax(1), probabilities)
            stages = stages + active
        confidence = probabilities.amax(1, keepdim=True)
        return CascadeOutput(probabilities, confidence, stages, all_logits, regions, maps)

    @override
    def exits(
        self, x: Tensor, logits: Sequence[Tensor], rho: Sequence[float] | Tensor
    ) -> tuple[Tensor, Tensor]:
        output = self(x, rho)  # zeros outside a region change what its pixels get
        return output.probabilities, output.stages

    @override
    def new_parameters(self) -> list[nn.Parameter]:
        return list(self.heads.parameters())

    @override
    def first_stage(self) -> list[nn.Module]:
        return [self.stages[0], self.heads[0]]


def _exit_score(probabilities: Tensor, truth: Tensor | None) -> Tensor:
    """The probability that is compared with rho, [N, 1, h, w]."""
    largest = probabilities.amax(1, keepdim=True)
    if truth is None:
        return largest
    known = truth != IGNORE
    return torch.where(known, probabilities.gather(1, torch.where(known, truth, 0)), largest)


class Dense(nn.Module):
    """A network without early exit.

    Args:
        stages: run in order.
        head: runs on the last stage's output.
        classes: number of classes.
    """

    def __init__(self, stages: Iterable[Chain], head: Chain, classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList([head])
        self.classes = classes
        self.upsample = Upsample(OUTPUT_STRIDE)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Return logits, float [N, K, h, w].

        Args:
            x: normalised BGR images, float [N, 3, H, W].
        """
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.heads[0](x)
        return logits
