"""Exit rules: the score that is compared with rho to decide whether a cell leaves early.

A rule maps the class probabilities of a cell to a score in [0, 1]; larger is surer. A cell exits
at a boundary where its score is greater than that boundary's threshold, so 1 disables early exit
under every rule. A NaN among the probabilities that a score reads makes it NaN, so that the cell
goes on.

`Largest`, `Margin`, `Entropy` and `Neighbourhood` have no parameters. `PerClass` and `Learned`
are fitted to a trained network's own disagreement with its last stage
(`lc_trt.training.exit_fit`), without ground truth.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from lc_trt.errors import UsageError
from lc_trt.model.layers import Conv, Upsample, double
from lc_trt.model.region import repeat_children

BOUNDARIES = (1, 2)
LARGEST = "largest"
SMALLEST_PROBABILITY = 1e-6  # below it a logarithm reads this; FP16 can hold it
LOG_SCALE = 0.25  # brings logarithms of probabilities to about 1


class ExitRule(nn.Module, abc.ABC):
    """Computes the score that decides whether a cell exits.

    Attributes:
        fitted: whether it has parameters, which are fitted after the network is trained.
        reads_maps: whether it reads feature maps besides probabilities.
    """

    fitted = False
    reads_maps = False

    @abc.abstractmethod
    def forward(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        """The score.

        Args:
            boundary: 1, after stage 1, or 2, after stage 2.
            probabilities: of the stages so far, merged; float [N, K, h, w].
            features: dense map [N, C, h, w] that the later stages read; None if the rule reads
                none.

        Returns:
            float [N, 1, h, w] in [0, 1].
        """


class Largest(ExitRule):
    """The largest probability (X. Li et al., CVPR 2017)."""

    @override
    def forward(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        return probabilities.amax(1, keepdim=True)


class Margin(ExitRule):
    """The largest probability less the second largest."""

    @override
    def forward(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        first, second = _two_largest(probabilities)
        return first - second


class Entropy(ExitRule):
    """1 - H / log K, where H is the entropy of the K probabilities."""

    @override
    def forward(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        # clamp: rounding must not lift a score above 1
        terms = probabilities * probabilities.clamp_min(SMALLEST_PROBABILITY).log()
        scale = 1 / math.log(probabilities.shape[1])
        return (1 + scale * terms.sum(1, keepdim=True)).clamp(0, 1)


class Neighbourhood(ExitRule):
    """The smallest of the largest probabilities in the 3x3 neighbourhood."""

    @override
    def forward(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        return -functional.max_pool2d(-probabilities.amax(1, keepdim=True), 3, 1, 1)


class PerClass(ExitRule):
    """The largest probability, with a threshold per class.

    The score of class c is piecewise linear through (0, 0), (`thresholds`[c], `REFERENCE`) and
    (1, 1): at rho = `REFERENCE` a cell of class c exits above `thresholds`[c]. If two classes are
    equally probable, the smaller score counts.

    Args:
        classes: number of classes.

    Attributes:
        thresholds: one per boundary and class, float [2, K], between 0 and 1.
    """

    REFERENCE = 0.8
    fitted = True
    thresholds: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("thresholds", torch.full((len(BOUNDARIES), classes), self.REFERENCE))

    def slopes(self, boundary: int) -> tuple[Tensor, Tensor]:
        """Slopes of the scores below and above the thresholds.

        Args:
            boundary: 1 or 2.

        Returns:
            Two float [K].
        """
        t = self.thresholds[boundary - 1]
        return self.REFERENCE / t, (1 - self.REFERENCE) / (1 - t)

    @override
    def forward(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        below, above = (slope.view(1, -1, 1, 1) for slope in self.slopes(boundary))
        threshold = self.thresholds[boundary - 1].view(1, -1, 1, 1)
        scores = torch.where(
            probabilities > threshold, 1 - (1 - probabilities) * above, probabilities * below
        )
        largest = probabilities.amax(1, keepdim=True)
        return torch.where(probabilities < largest, 1, scores).amin(1, keepdim=True)


class Learned(ExitRule):
    """The probability that the whole network gives the same label, from a small head.

    Args:
        classes: number of classes.
        channels: of the feature map at each boundary.
        width: channels of its convolutions.
    """

    fitted = True
    reads_maps = True

    def __init__(self, classes: int, channels: tuple[int, int], width: int = 16) -> None:
        super().__init__()
        statistics = classes + 3
        self.project = nn.ModuleList(Conv(c, width, norm=False) for c in channels)
        self.mix = nn.ModuleList(Conv(width + statistics, width, 3, norm=False) for _ in channels)
        self.head = nn.ModuleList(Conv(width, 2, norm=False, relu=False) for _ in channels)

    @override
    def forward(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        return self.logits(boundary, probabilities, features).float().softmax(1)[:, 1:]

    def logits(self, boundary: int, probabilities: Tensor, features: Tensor | None) -> Tensor:
        """Logits of "the label changes" and "it stays".

        Args:
            boundary: 1 or 2, as for `forward`.
            probabilities: float [N, K, h, w].
            features: float [N, C, h, w].

        Returns:
            float [N, 2, h, w].
        """
        i = boundary - 1
        joined = [self.project[i](features), *statistics(probabilities)]
        logits: Tensor = self.head[i](self.mix[i](torch.cat(joined, 1)))
        return logits


def statistics(probabilities: Tensor) -> list[Tensor]:
    """What a learned head reads of class probabilities.

    Logarithms, since the probability of a change spans several orders of magnitude; scaled to
    about 1.

    Args:
        probabilities: float [N, K, h, w].

    Returns:
        Maps of K, 1, 1 and 1 channels: log probabilities, log (1 - largest), margin, and the
        score of `Entropy`.
    """
    first, second = _two_largest(probabilities)
    return [
        _log(probabilities),
        _log(1 - first),
        first - second,
        Entropy()(0, probabilities, None),
    ]


def _two_largest(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    values = probabilities.topk(2, 1).values
    return values[:, :1], values[:, 1:]


def _log(x: Tensor) -> Tensor:
    return x.clamp_min(SMALLEST_PROBABILITY).log() * LOG_SCALE


class Exits(NamedTuple):
    """What a cascade whose later stages see everything gives at a pair of thresholds.

    Attributes:
        probabilities: of the stage that each cell exited at; float [N, K, h, w], like the others
            at the last stage's stride.
        stages: exit stage, uint8 [N, 1, h, w].
        scores: of the boundary that each cell exited at, float [N, 1, h, w]; at stage 3 the
            largest probability.
    """

    probabilities: Tensor
    stages: Tensor
    scores: Tensor


def simulate_exits(
    probabilities: Sequence[Tensor],
    rho: Sequence[float] | Tensor,
    score: Callable[[int, Tensor], Tensor],
) -> Exits:
    """Exit by a score, given the probabilities of all stages on all cells.

    The cells of stages 1 and 2 are those of stage 3, or twice as large: then a child is sent to
    stage 3 where the probabilities of stages 1 and 2, merged and brought to its stride, are not
    sure of it.

    Args:
        probabilities: one float [N, K, h, w] per stage.
        rho: one threshold per boundary.
        score: of a boundary and merged probabilities, as `ExitRule.forward`.
    """
    first, second, third = probabilities
    score1 = score(1, first)
    # Negated, so that a cell whose score is NaN goes on.
    reached2 = ~(score1 > rho[0])
    merged = torch.where(reached2, second, first)
    if first.shape != third.shape:
        size = (third.shape[2], third.shape[3])
        merged = double(merged, third)
        reached2, score1 = repeat_children(reached2, size), repeat_children(score1, size)
    score2 = score(2, merged)
    reached3 = reached2 & ~(score2 > rho[1])
    merged = torch.where(reached3, third, merged)
    scores = torch.where(reached2, score2, score1)
    scores = torch.where(reached3, merged.amax(1, keepdim=True), scores)
    return Exits(merged, 1 + reached2.to(torch.uint8) + reached3.to(torch.uint8), scores)


def kept_share(probabilities: Tensor, whole: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """The share of the labels around a cell that stay as they are if all cells exit.

    Labels are those of pixels: a cell whose own best class stays can still move the boundary
    between its neighbours. Around a cell are the pixels that are interpolated from it. This is
    what `Learned` predicts and what an oracle knows.

    Args:
        probabilities: of the stages so far, at the last stage's stride or twice that; float
            [N, K, h, w].
        whole: probabilities of the last stage, float [N, K, H, W].
        stride: of the last stage, in pixels.
        size: (height, width) of the image, in pixels.

    Returns:
        float [N, 1, h, w], 0 to 1.
    """
    brought = probabilities
    if probabilities.shape != whole.shape:
        brought = double(probabilities, whole)
    upsample = Upsample(stride)
    labels, reference = (upsample.forward(p, size).argmax(1) for p in (brought, whole))
    kept = (labels == reference).float()[:, None]
    side = stride if brought is probabilities else 2 * stride
    return functional.avg_pool2d(
        kept, 2 * side, side, padding=side // 2, ceil_mode=True, count_include_pad=False
    )


_RULES: Mapping[str, type[ExitRule]] = {
    LARGEST: Largest,
    "margin": Margin,
    "entropy": Entropy,
    "neighbourhood": Neighbourhood,
    "class": PerClass,
    "learned": Learned,
}
RULES = tuple(_RULES)
FITTED = tuple(name for name, rule in _RULES.items() if rule.fitted)


def check_rules(chosen: str, fitted: Sequence[str]) -> None:
    """Reject rules that a network cannot have.

    Args:
        chosen: as of `ExitRules`.
        fitted: likewise.

    Raises:
        UsageError: unknown rule, or one that is neither free of parameters nor fitted.
    """
    for name in (chosen, *fitted):
        if name not in _RULES:
            raise UsageError(f"unknown exit rule {name!r}: expected {', '.join(RULES)}")
    if chosen in FITTED and chosen not in fitted:
        raise UsageError(
            f"exit rule {chosen!r} has no parameters yet: fit it with tools/fit_exits.py"
        )


class ExitRules(nn.Module):
    """The exit rules that a network has: those without parameters, and the fitted ones.

    Args:
        classes: number of classes.
        channels: of the feature map at each boundary.
        chosen: the rule by which the network's cells exit.
        fitted: rules with parameters.

    Attributes:
        rules: by name.
        classes, channels, chosen: as above.

    Raises:
        UsageError: as of `check_rules`.
    """

    def __init__(
        self,
        classes: int,
        channels: tuple[int, int],
        chosen: str = LARGEST,
        fitted: Sequence[str] = (),
    ) -> None:
        super().__init__()
        check_rules(chosen, fitted)
        self.rules = nn.ModuleDict(
            {
                name: _build(name, classes, channels)
                for name in RULES
                if name not in FITTED or name in fitted
            }
        )
        self.classes, self.channels, self.chosen = classes, channels, chosen

    def items(self) -> Iterator[tuple[str, ExitRule]]:
        """All rules by name."""
        for name, rule in self.rules.items():
            assert isinstance(rule, ExitRule)
            yield name, rule

    @property
    def rule(self) -> ExitRule:
        """The network's rule."""
        rule = self.rules[self.chosen]
        assert isinstance(rule, ExitRule)
        return rule


def _build(name: str, classes: int, channels: tuple[int, int]) -> ExitRule:
    if name == "class":
        return PerClass(classes)
    if name == "learned":
        return Learned(classes, channels)
    return _RULES[name]()
