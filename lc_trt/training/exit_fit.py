"""Fits exit rules to a trained network's own disagreement with its last stage.

No ground truth is needed: a cell should go on where the whole network would give it another label
(`lc_trt.model.exits.kept_share`). The network itself does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lc_trt.data.datasets import Dataset
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.exits import (
    BOUNDARIES,
    FITTED,
    ExitRules,
    Learned,
    PerClass,
    check_rules,
    kept_share,
)
from lc_trt.model.layers import double
from lc_trt.model.presets import initialise
from lc_trt.training.batches import Batches
from lc_trt.training.checkpoint import save_weights
from lc_trt.training.config import Augment, TrainConfig
from lc_trt.training.normalise import Normalise
from lc_trt.training.threshold_fit import DisagreementCounts
from lc_trt.training.trained_network import open_network

SEED = 1  # not that of the training, whose crops the network has seen


@dataclass(frozen=True)
class Boundary:
    """What an exit rule sees at a boundary, and what it should say.

    Attributes:
        number: 1 or 2.
        probabilities: of the stages so far, float [N, K, h, w].
        features: that a rule may read, float [N, C, h, w].
        kept: of `lc_trt.model.exits.kept_share`.
    """

    number: int
    probabilities: Tensor
    features: Tensor
    kept: Tensor


def boundaries(model: EncoderCascade, x: Tensor) -> tuple[Boundary, Boundary]:
    """Run the whole network on all cells and look at its boundaries.

    At boundary 2, stage 2 has seen all cells.

    Args:
        model: the network.
        x: normalised BGR images, float [N, 3, H, W].
    """
    with torch.no_grad():
        logits1, maps = model.trunk(x)
        logits2, logits3 = model.later(maps)
        first, second, whole = (
            model.probabilities(z, i) for i, z in enumerate((logits1, logits2, logits3), 1)
        )
        second = double(second, whole)
        features = model.exit_maps(maps)
    size, stride = (x.shape[2], x.shape[3]), model.strides[-1]
    return (
        Boundary(1, first, features[0], kept_share(first, whole, stride, size)),
        Boundary(2, second, features[1], kept_share(second, whole, stride, size)),
    )


@dataclass(frozen=True)
class FitReport:
    """Progress of a fit.

    Attributes:
        step: steps done.
        steps: of the whole fit.
        losses: cross-entropy at boundaries 1 and 2.
    """

    step: int
    steps: int
    losses: tuple[float, ...]


def fit_rules(
    model: EncoderCascade,
    batches: Iterable[Tensor],
    steps: int,
    *,
    rate: float = 2e-3,
    on_step: Callable[[FitReport], None] = lambda report: None,
) -> None:
    """Fit all exit rules that have parameters, and add them to a network.

    The thresholds per class count the disagreement on all batches; the learned head takes one
    step of AdamW per batch, with a cosine schedule. Its targets are shares, so its output is the
    expected share of a cell's labels that stay.

    Args:
        model: the network, trained; its other parameters and its chosen rule do not change.
        batches: normalised BGR images, float [N, 3, H, W]; at least ``steps``.
        steps: number of batches.
        rate: highest learning rate.
        on_step: called after every step.

    Raises:
        LcTrtError: a loss is not finite.
    """
    device = next(model.parameters()).device
    before = model.exit_rules
    rules = ExitRules(before.classes, before.channels, before.chosen, FITTED)
    rules = initialise(rules).to(device).train()
    learned, per_class = rules.rules["learned"], rules.rules["class"]
    assert isinstance(learned, Learned) and isinstance(per_class, PerClass)
    optimizer = torch.optim.AdamW(learned.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    counts = [DisagreementCounts(model.classes) for _ in BOUNDARIES]
    model.eval()
    for step, x in enumerate(_first(batches, steps), 1):
        losses = []
        for boundary, count in zip(boundaries(model, x), counts, strict=True):
            losses.append(exit_loss(learned, boundary))
            largest, label = boundary.probabilities.max(1)
            count.add(label.cpu().numpy(), largest.cpu().numpy(), boundary.kept[:, 0].cpu().numpy())
        total = torch.stack(losses).sum()
        if not torch.isfinite(total):
            raise LcTrtError(f"step {step}: the loss of the exit rule is {total.item():g}")
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_step(FitReport(step, steps, tuple(float(loss.detach()) for loss in losses)))
    thresholds = np.stack([count.thresholds(PerClass.REFERENCE) for count in counts])
    per_class.thresholds.copy_(torch.from_numpy(thresholds))
    model.exit_rules = rules.eval()


def fit_checkpoint(
    source: Path,
    out: Path,
    samples: Dataset,
    steps: int,
    *,
    rule: str | None = None,
    on_step: Callable[[FitReport], None] = lambda report: None,
) -> None:
    """Fit the exit rules of a checkpoint and write it with them.

    Batches and augmentation are those that it was trained with, besides ``focus``.

    Args:
        source: weights of a cascade with exact regions, written by ``lc-trt train``.
        out: the file to write, replaced atomically.
        samples: images; their labels are not used.
        steps: of the fit; 0 fits nothing, to choose another rule only.
        rule: the rule by which the network's cells exit from now on; None for its own.
        on_step: called after every step.

    Raises:
        UsageError: a network whose exit rule is fixed, or an unknown rule.
        LcTrtError: unreadable weights, or none that can be fitted.
    """
    network = open_network(source)
    spec, model = network.spec, network.model
    if not isinstance(model, EncoderCascade):
        raise UsageError(
            f"{source}: {spec.name} exits by its largest probability; expected a cascade with "
            "exact regions, as configs/lite2-camvid.yaml trains it"
        )
    spec = replace(
        spec,
        exit_rule=rule or spec.exit_rule,
        fitted_rules=FITTED if steps else spec.fitted_rules,
    )
    check_rules(spec.exit_rule, spec.fitted_rules)  # before minutes are spent
    if steps:
        config = network.metadata.get("config", {})
        batch = config.get("batch", TrainConfig.model_fields["batch"].default)
        # focus would draw crops by the labels
        augmentation = Augment.model_validate({**config.get("augment", {}), "focus": 0.0})
        batches = Batches(samples, batch, augmentation, SEED)
        prepare = Normalise(*spec.normalisation)
        torch.manual_seed(SEED)
        fit_rules(model, (prepare(batches[i][0]) for i in range(steps)), steps, on_step=on_step)
    save_weights(out, model, {**network.metadata, **spec.as_metadata()})


def exit_loss(rule: Learned, boundary: Boundary) -> Tensor:
    """Binary cross-entropy of a learned rule, whose targets are shares.

    Args:
        rule: the rule.
        boundary: what it sees, and the targets.

    Returns:
        The mean over all cells, a scalar.
    """
    logits = rule.logits(boundary.number, boundary.probabilities, boundary.features).float()
    targets = torch.cat([1 - boundary.kept, boundary.kept], 1)
    return functional.cross_entropy(logits, targets)


def _first(batches: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    for _, batch in zip(range(count), batches, strict=False):
        yield batch
