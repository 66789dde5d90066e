"""Compares exit rules: cells passed on, against labels changed and mIoU lost.

Each image runs once, through all stages on all cells; exits are then simulated by every rule at
every threshold. For a network with exact regions that is what the cascade computes. For others it
assumes that the later stages see everything, whoever exits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Confusion, Labels, Shares, mean_shares, stage_shares
from lc_trt.errors import LcTrtError
from lc_trt.evaluation.data import Samples
from lc_trt.runtime import resize
from lc_trt.utils.progress import SILENT, ProgressMonitor

if TYPE_CHECKING:  # importing an evaluation module loads no PyTorch
    from torch import Tensor

    from lc_trt.training.trained_network import TrainedNetwork

ORACLE = "oracle"
# Thresholds, geometric in 1 - rho: in equal steps of rho most would change nothing. Scores such as
# the margin are lower than the largest probability.
_DOUBTS = np.geomspace(0.9, 2e-4, 27)
RHOS = (*(1 - _DOUBTS).round(5).tolist(), 1.0)
Score = Callable[[int, "Tensor"], "Tensor"]
Operations = Callable[[str, float, float], float]


@dataclass(frozen=True)
class ExitPoint:
    """A rule at one threshold, for both boundaries alike.

    Attributes:
        rho: the threshold.
        shares: mean shares of cells that exit at each stage, 0 to 1.
        operations: multiply-accumulates per image, with those of the rule itself, relative to all
            stages on all cells.
        changed: mean share of labels that differ from those without exits, at the network's size.
        miou: mean IoU, 0 to 1.
    """

    rho: float
    shares: Shares
    operations: float
    changed: float
    miou: float

    @property
    def passed(self) -> tuple[float, float]:
        """Shares of cells that reach stages 2 and 3."""
        return self.shares[1] + self.shares[2], self.shares[2]


@dataclass(frozen=True)
class Crossing:
    """A curve where a given share of the labels changes, interpolated between two points.

    Attributes:
        changed: the share, 0 to 1.
        passed: shares of cells that reach stages 2 and 3.
        operations: as of `ExitPoint`.
        lost: mIoU lost, 0 to 1.
    """

    changed: float
    passed: tuple[float, float]
    operations: float
    lost: float


@dataclass(frozen=True)
class ExitCurve:
    """A rule at all thresholds.

    Attributes:
        rule: its name.
        points: by ascending threshold; the last one is without early exit.
    """

    rule: str
    points: tuple[ExitPoint, ...]

    def at(self, changed: float) -> Crossing | None:
        """The curve where a share of the labels changes.

        Args:
            changed: 0 to 1.

        Returns:
            None if no threshold changes as many.
        """
        points = self.points[::-1]  # by ascending change
        along = np.maximum.accumulate([p.changed for p in points])
        if changed > along[-1]:
            return None
        place = np.interp(changed, along, np.arange(len(points)))

        def value(of: Callable[[ExitPoint], float]) -> float:
            return float(np.interp(place, np.arange(len(points)), [of(p) for p in points]))

        return Crossing(
            changed,
            (value(lambda p: p.passed[0]), value(lambda p: p.passed[1])),
            value(lambda p: p.operations),
            self.points[-1].miou - value(lambda p: p.miou),
        )


def compare_rules(
    network: TrainedNetwork,
    samples: Samples,
    size: tuple[int, int],
    operations: Operations,
    *,
    monitor: ProgressMonitor = SILENT,
) -> tuple[ExitCurve, ...]:
    """Sweep every exit rule that a network has, and the oracle.

    The oracle knows the whole network's labels: its score is the share of the labels around a cell
    that stay (`lc_trt.model.exits.kept_share`).

    Args:
        network: of a checkpoint.
        samples: labelled images.
        size: (height, width) in pixels that images are resized to.
        operations: of a rule, and of the shares of cells that reach stages 2 and 3, as in
            `ExitPoint`.
        monitor: shows progress.

    Raises:
        LcTrtError: no sample has a labelled pixel.
    """
    sweeps: dict[str, list[_Lane]] = {}
    for sample in monitor.track("comparing exit rules", samples):
        for rule, results in _simulate(network, sample, size):
            lanes = sweeps.setdefault(rule, [_Lane(rho, samples.classes) for rho in RHOS])
            for lane, (labels, stages) in zip(lanes, results, strict=True):
                lane.add(sample, labels, stages, reference=results[-1][0])
    if any(not lanes[-1].confusion.counts.sum() for lanes in sweeps.values()):
        raise LcTrtError(
            f"no labelled pixel in {len(samples)} images; expected labels other than 255"
        )
    return tuple(
        ExitCurve(rule, tuple(lane.point(rule, operations) for lane in lanes))
        for rule, lanes in sweeps.items()
    )


_Maps = tuple[Labels, Labels]


def _simulate(
    network: TrainedNetwork, sample: Sample, size: tuple[int, int]
) -> Iterator[tuple[str, list[_Maps]]]:
    """Labels, uint8 of a size, and stages of an image: by rule, one pair per threshold."""
    import torch

    from lc_trt.model.exits import simulate_exits
    from lc_trt.training.normalise import Normalise

    model = network.model
    x = Normalise(*network.spec.normalisation)(resize.to_size(sample.image, size)[None])
    with torch.inference_mode():
        probabilities, scores = _run(x, network, size)
        for rule, score in scores.items():
            once = _first_once(score, probabilities[0])
            results = []
            for rho in RHOS:
                exits = simulate_exits(probabilities, (rho, rho), once)
                labels = model.upsample(exits.probabilities, size).argmax(1)[0]
                results.append((_uint8(labels), _uint8(exits.stages)))
            yield rule, results


def _run(
    x: Tensor, network: TrainedNetwork, size: tuple[int, int]
) -> tuple[list[Tensor], Mapping[str, Score]]:
    """Probabilities of all stages on all cells, and scores by rule."""
    from lc_trt.model.encoder_cascade import EncoderCascade
    from lc_trt.model.exits import ExitRule, ExitRules, kept_share

    model = network.model
    maps: tuple[Tensor | None, Tensor | None] = (None, None)
    if isinstance(model, EncoderCascade):
        logits1, dense = model.trunk(x)
        logits = [logits1, *model.later(dense)]
        probabilities = [model.probabilities(z, i) for i, z in enumerate(logits, 1)]
        rules, maps = model.exit_rules, model.exit_maps(dense)
    else:
        probabilities = [z.float().softmax(1) for z in model.deep(x)]
        rules = ExitRules(model.classes, (0, 0))

    def score(rule: ExitRule) -> Score:
        return lambda boundary, p: rule(boundary, p, maps[boundary - 1])

    scores = {name: score(rule) for name, rule in rules.items()}
    return probabilities, {
        **scores,
        ORACLE: lambda boundary, p: kept_share(p, probabilities[-1], model.strides[-1], size),
    }


def _first_once(score: Score, probabilities: Tensor) -> Score:
    """A score that computes boundary 1, which depends on no threshold, only once."""
    first = score(1, probabilities)
    return lambda boundary, p: first if boundary == 1 else score(boundary, p)


def _uint8(values: Tensor) -> Labels:
    return np.asarray(values.numpy(), np.uint8)


class _Lane:
    """Counts of a rule at one threshold."""

    def __init__(self, rho: float, classes: int) -> None:
        self.rho, self.confusion = rho, Confusion(classes)
        self._shares: list[Shares] = []
        self._changed: list[float] = []

    def add(self, sample: Sample, labels: Labels, stages: Labels, *, reference: Labels) -> None:
        height, width = sample.label.shape
        self.confusion.add(resize.labels_to_size(labels, (height, width)), sample.label)
        self._shares.append(stage_shares(stages))
        self._changed.append(float(np.mean(labels != reference)))

    def point(self, rule: str, operations: Operations) -> ExitPoint:
        shares = mean_shares(self._shares)
        return ExitPoint(
            self.rho,
            shares,
            operations(rule, shares[1] + shares[2], shares[2]),
            float(np.mean(self._changed)),
            self.confusion.miou(),
        )
