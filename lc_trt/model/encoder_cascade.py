"""A cascade on a pretrained encoder, with region stages at two strides.

With exact regions, the default, every spatial layer of stages 2 and 3 reads a dense map, and is
computed for the region only; whatever follows it is pointwise. So the result at a cell does not
depend on which other cells go on, and the cascade's only error is the decision to exit. With zeros
or stand-ins outside the region, which can be asked for to compare (`lc_trt.model.neighbours`), it
does depend on them.

A *cell* is a pixel of a feature map. Stage 1 is dense, at stride 8. Stage 2 computes a region at
stride 8. Stage 3 computes one at stride 4: the uncertain children of stage 2's cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from lc_trt.model.cascade import CascadeOutput, StagedNetwork
from lc_trt.model.encoders.base import Encoder
from lc_trt.model.exits import LARGEST, ExitRules, simulate_exits
from lc_trt.model.heads import DROPOUT
from lc_trt.model.layers import Chain, Conv, Dropout, Upsample, double
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.pyramid import Pyramid
from lc_trt.model.region import CompactRegion, Region, RegionForm, repeat_children
from lc_trt.model.spatial_mix import SpatialMix

STRIDES = (8, 8, 4)  # of the stages' logits
BLOCK = 32  # AMX and tensor cores multiply blocks of 32 or 64 channels


@dataclass(frozen=True)
class Widths:
    """Channel counts, by default multiples of `BLOCK`.

    Attributes:
        pyramid: of stage 1's map.
        context: of the dense map that stage 2's spatial convolutions read, and of their outputs.
        stage2: of stage 2's rows.
        guide: least of the pyramid's share in the map that stage 3 reads, beside the encoder's
            features; the sum is rounded up to a multiple of `BLOCK`.
        detail: of the outputs of stage 3's spatial convolutions.
        stage3: of stage 3's rows.
    """

    pyramid: int = 128
    context: int = 96
    stage2: int = 192
    guide: int = 32
    detail: int = 64
    stage3: int = 96


class DenseMaps(NamedTuple):
    """What the later stages read, all of it dense.

    Attributes:
        features: of pyramid and encoder at stride 8, float [N, C, h, w]; stage 2 reads them.
        guide: the pyramid with few channels, at stride 8.
        detail: of encoder and guide at stride 4; stage 3 reads it.
    """

    features: Tensor
    guide: Tensor
    detail: Tensor


class EncoderCascade(StagedNetwork):
    """Encoder and pyramid, then two stages of region convolution.

    Args:
        encoder: of stage 1.
        classes: number of classes.
        widths: channel counts.
        exit_rule: name of the rule by which cells exit (`lc_trt.model.exits`).
        fitted_rules: exit rules with parameters that the network has.
        neighbours: what the spatial layers of stages 2 and 3 read at a neighbour outside the
            region. Without exits all forms are the same network.

    Attributes:
        exit_rules: its exit rules, and the one chosen.
        temperatures: divide the logits of each stage before the softmax; they are fitted after
            training, so that probabilities are calibrated.
    """

    strides = STRIDES
    temperatures: Tensor

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        widths: Widths | None = None,
        exit_rule: str = LARGEST,
        fitted_rules: Sequence[str] = (),
        neighbours: Neighbours = Neighbours.EXACT,
    ) -> None:
        super().__init__()
        self.neighbours, self.exact = neighbours, neighbours is Neighbours.EXACT
        reads_map = neighbours is not Neighbours.ZEROS
        w = widths or Widths()
        c4, c8, c16, c32 = encoder.channels
        self.encoder = encoder
        self.classes, self.widths = classes, w
        self.pyramid = Pyramid((c8, c16, c32), w.pyramid)
        self.head1 = _head(w.pyramid, classes)
        features = w.pyramid + c8
        self.context = Conv(features, w.context)
        self.pointwise = Conv(features, w.context)
        self.stage2 = SpatialMix(
            w.context, w.context, (1, 2, 4), w.context, w.stage2, reads_map=reads_map
        )
        self.head2 = _head(w.stage2, classes)
        detail = -(-(c4 + w.guide) // BLOCK) * BLOCK
        guide = detail - c4
        self.guide = Conv(w.pyramid, guide)
        self.parent = Conv(w.stage2, w.stage3)
        self.stage3 = SpatialMix(
            detail, w.detail, (1, 2), detail + w.stage3, w.stage3, reads_map=reads_map
        )
        self.head3 = _head(w.stage3, classes)
        self.exit_rules = ExitRules(classes, (features, detail), exit_rule, fitted_rules)
        if neighbours is Neighbours.STAND_IN:
            self.stand_in2 = Conv(guide, w.context, norm=False, relu=False)
            self.stand_in3 = Conv(guide, detail, norm=False, relu=False)
        self.upsample = Upsample(STRIDES[-1])
        self.register_buffer("temperatures", torch.ones(len(STRIDES)))

    @override
    def trunk(self, x: Tensor) -> tuple[Tensor, DenseMaps]:
        e4, e8, e16, e32 = self.encoder(x)
        pyramid = self.pyramid((e8, e16, e32))
        guide = self.guide(pyramid)
        detail = torch.cat([e4, double(guide, e4)], 1)
        return self.head1(pyramid), DenseMaps(torch.cat([pyramid, e8], 1), guide, detail)

    @override
    def later(self, maps: Sequence[Tensor]) -> list[Tensor]:
        maps = DenseMaps(*maps)
        rows2 = self.stage2(self.context(maps.features), [self.pointwise(maps.features)])
        logits2: Tensor = self.head2(rows2)
        size = (maps.detail.shape[2], maps.detail.shape[3])
        parent = repeat_children(self.parent(rows2), size)
        rows3 = self.stage3(maps.detail, [maps.detail, parent])
        return [logits2, self.head3(rows3) + repeat_children(logits2, size)]

    @override
    def after_trunk(
        self,
        logits: Tensor,
        maps: Sequence[Tensor],
        rho: Sequence[float] | Tensor,
        region: RegionForm = CompactRegion,
        truth: Tensor | None = None,
    ) -> CascadeOutput:
        """Run the cascade; a cell exits where its score by the exit rule is greater than rho.

        A child exits after stage 2 where the score of the probabilities of stages 1 and 2, merged
        and brought to stride 4, is.

        Args:
            logits: of `trunk`.
            maps: of `trunk`.
            rho: one threshold per boundary.
            region: implementation of region operators.
            truth: must be None.

        Returns:
            Maps at stride 4. ``confidence`` is the score of the boundary that a cell exited at; at
            stage 3 the largest probability.

        Raises:
            ValueError: ``truth`` is not None.
        """
        if truth is not None:
            raise ValueError("truth: needs a network whose stages have one stride")
        maps = DenseMaps(*maps)
        rule = self.exit_rules.rule
        probabilities = self.probabilities(logits, 1)
        score1 = rule(1, probabilities, maps.features)
        # Negated, so that a cell whose score is NaN stays active.
        region2 = region(~(score1 > rho[0]))
        rows = region2.gather(maps.features)
        context = self._context(maps, rows, region2)
        rows2 = self.stage2(context, [self.pointwise(rows, region2)], region2)
        logits2 = self.head2(rows2, region2)
        merged = region2.scatter(self.probabilities(logits2, 2), probabilities)
        merged_logits2 = region2.scatter(logits2, logits.detach())

        detail = maps.detail
        size = (detail.shape[2], detail.shape[3])
        merged = double(merged, detail)
        parents = repeat_children(region2.hard, size)
        score2 = rule(2, merged, detail)
        region3 = region(parents & ~(score2 > rho[1]))
        scores = torch.where(parents, score2, repeat_children(score1, size))
        parent = region3.children(self.parent(rows2, region2), region2)
        rows = region3.gather(detail)
        rows3 = self.stage3(self._detail(maps, rows, region3), [rows, parent], region3)
        logits3 = self.head3(rows3, region3) + region3.children(logits2, region2)
        merged_logits3 = region3.scatter(logits3, repeat_children(merged_logits2.detach(), size))
        probabilities3 = self.probabilities(logits3, 3)
        merged = region3.scatter(probabilities3, merged)
        scores = region3.scatter(probabilities3.amax(1, keepdim=True), scores)
        stages = 1 + parents.to(torch.uint8) + region3.hard.to(torch.uint8)
        return CascadeOutput(
            merged,
            scores,
            stages,
            [logits, merged_logits2, merged_logits3],
            [region2, region3],
            maps,
        )

    def _context(self, maps: DenseMaps, rows: Tensor, region: Region) -> Tensor:
        """What stage 2's spatial convolutions read: a dense map, or with zeros region features."""
        if self.neighbours is Neighbours.EXACT:
            dense: Tensor = self.context(maps.features)
            return dense
        inside: Tensor = self.context(rows, region)
        if self.neighbours is Neighbours.ZEROS:
            return inside
        return region.scatter(inside, self.stand_in2(maps.guide))

    def _detail(self, maps: DenseMaps, rows: Tensor, region: Region) -> Tensor:
        """What stage 3's spatial convolutions read, as `_context` for stage 2."""
        if self.neighbours is Neighbours.EXACT:
            return maps.detail
        if self.neighbours is Neighbours.ZEROS:
            return rows
        return region.scatter(rows, double(self.stand_in3(maps.guide), maps.detail))

    @override
    def new_parameters(self) -> list[nn.Parameter]:
        encoder = {id(p) for p in self.encoder.parameters()}
        return [p for p in self.parameters() if id(p) not in encoder]

    @override
    def first_stage(self) -> list[nn.Module]:
        return [self.encoder, self.pyramid, self.head1]

    @override
    def exits(
        self, x: Tensor, logits: Sequence[Tensor], rho: Sequence[float] | Tensor
    ) -> tuple[Tensor, Tensor]:
        if not self.exact:  # who else goes on changes what a cell gets
            output = self(x, rho)
            return output.probabilities, output.stages
        rule = self.exit_rules.rule
        maps = self.exit_maps(self.trunk(x)[1]) if rule.reads_maps else (None, None)
        exits = simulate_exits(
            [self.probabilities(z, i) for i, z in enumerate(logits, 1)],
            rho,
            lambda boundary, p: rule(boundary, p, maps[boundary - 1]),
        )
        return exits.probabilities, exits.stages

    def exit_maps(self, maps: DenseMaps) -> tuple[Tensor, Tensor]:
        """The maps that an exit rule may read at boundaries 1 and 2.

        Args:
            maps: of `trunk`.
        """
        return maps.features, maps.detail

    def probabilities(self, logits: Tensor, stage: int) -> Tensor:
        """Calibrated class probabilities of a stage.

        Args:
            logits: of the stage, channels on axis 1.
            stage: 1, 2 or 3.

        Returns:
            float32, of the logits' shape.
        """
        return (logits.float() / self.temperatures[stage - 1]).softmax(1)


def _head(cin: int, classes: int) -> Chain:
    return Chain([Dropout(DROPOUT), Conv(cin, classes, norm=False, relu=False)])
