"""Temperatures that calibrate the stages of a trained cascade (C. Guo et al., ICML 2017)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Dataset
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.network import NetworkSpec
from lc_trt.training.batches import Image
from lc_trt.training.checkpoint import load_into, load_weights, save_tensors
from lc_trt.training.initial_weights import pretrained_facts
from lc_trt.training.losses import resize_for_loss
from lc_trt.training.normalise import Normalise
from lc_trt.training.validation import Validation, validate

LEAST, LARGEST = 0.05, 20.0  # temperatures; logits that are always right have no finite optimum
BISECTIONS = 30  # to a relative error of 6e-9
VALUES = 1 << 24  # logits kept per stage, 64 MB


@dataclass(frozen=True)
class Calibration:
    """Fitted temperatures.

    Attributes:
        temperatures: one per stage.
        before: mean negative log-likelihood per stage at temperature 1, in nats per pixel.
        after: the same at the fitted temperatures.
    """

    temperatures: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    def __str__(self) -> str:
        stages = zip(self.temperatures, self.before, self.after, strict=True)
        parts = [f"{t:.3f} (NLL {before:.4f} -> {after:.4f})" for t, before, after in stages]
        return f"temperatures of stages 1 / 2 / 3: {' / '.join(parts)}"


def fit_temperatures(
    model: EncoderCascade, samples: Dataset, prepare: Callable[[Image], Tensor]
) -> Calibration:
    """Fit one temperature per stage to labelled images, and set those of the model.

    Logits are brought to half the label's size, as in the training loss. Of each image as many
    pixels are drawn, with a fixed seed, as keep `VALUES` logits per stage in memory.

    Args:
        model: switched to evaluation mode; its ``temperatures`` are replaced.
        samples: labelled images of any size, not those that the model was trained on.
        prepare: converts BGR images, uint8 [N, H, W, 3], to the network's input.

    Raises:
        LcTrtError: no pixel of the images is labelled, or a logit is not finite.
    """
    pixels = max(1, VALUES // (model.classes * max(1, len(samples))))
    logits: list[list[Tensor]] = [[] for _ in model.strides]
    labels: list[list[Tensor]] = [[] for _ in model.strides]
    generator = torch.Generator().manual_seed(0)
    model.eval()
    with torch.inference_mode():
        for sample in samples:
            label = torch.from_numpy(sample.label)[None]
            for i, (stage, stride) in enumerate(
                zip(model.deep(prepare(sample.image[None])), model.strides, strict=True)
            ):
                scores, target = resize_for_loss(stage.cpu(), label, stride)
                valid = torch.nonzero(target.flatten() != IGNORE)[:, 0]
                drawn = valid[torch.randperm(len(valid), generator=generator)[:pixels]]
                logits[i].append(scores[0].flatten(1)[:, drawn].T)
                labels[i].append(target.flatten()[drawn].long())
        fits = [
            _fit_stage(torch.cat(scores), torch.cat(target))
            for scores, target in zip(logits, labels, strict=True)
        ]
    temperatures, before, after = zip(*fits, strict=True)
    model.temperatures.copy_(torch.tensor(temperatures))
    return Calibration(temperatures, before, after)


def calibrate_checkpoint(
    source: Path, outputs: Iterable[Path], samples: Dataset, rho: float, device: str = "cpu"
) -> tuple[Calibration, Validation]:
    """Fit the temperatures of a checkpoint and write it with them, and with what val then gives.

    Args:
        source: weights of a cascade with exact regions, written by ``lc-trt train``.
        outputs: files to write, each replaced atomically; ``source`` may be one of them.
        samples: labelled images that it was not trained on.
        rho: exit threshold of both boundaries, to measure shares and mIoU.
        device: torch device.

    Returns:
        The temperatures, and the metrics with them.

    Raises:
        UsageError: a network without temperatures.
        LcTrtError: unreadable weights, or none that can be calibrated.
    """
    state, metadata = load_weights(source)
    spec = NetworkSpec.from_metadata(metadata)
    if not spec.encoder:
        raise UsageError(
            f"{source}: {spec.name or 'no network'} has no temperatures; expected a cascade with "
            "exact regions, as configs/lite2-camvid.yaml trains it"
        )
    model = spec.build(samples.classes)
    assert isinstance(model, EncoderCascade)
    load_into(model, source)
    model.to(device)
    prepare = Normalise(*spec.normalisation, device=device)
    calibration = fit_temperatures(model, samples, prepare)
    validation = validate(model, samples, prepare, rho)
    state["temperatures"] = model.temperatures.cpu()
    metadata |= {
        **validation.as_metadata(),
        "pretrained": pretrained_facts(metadata),
        "temperatures": list(calibration.temperatures),
        "nll": {"before": list(calibration.before), "after": list(calibration.after)},
    }
    for path in outputs:
        save_tensors(path, state, metadata)
    return calibration, validation


def _fit_stage(logits: Tensor, labels: Tensor) -> tuple[float, float, float]:
    """Temperature, and the negative log-likelihood at 1 and at it."""
    if not len(labels):
        raise LcTrtError(f"no pixel has a label other than {IGNORE}; temperatures need labels")
    if not torch.isfinite(logits).all():
        raise LcTrtError("logits are not finite: these weights cannot be calibrated")
    temperature = fit_temperature(logits, labels)
    before, after = (
        float(functional.cross_entropy(logits / t, labels)) for t in (1.0, temperature)
    )
    return temperature, before, after


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature at which the negative log-likelihood is least.

    That is convex in the inverse temperature, so its derivative, the mean of the expected logit
    less the label's, has one root, which bisection finds.

    Args:
        logits: float [P, K].
        labels: class index per row, int64 [P].

    Returns:
        A temperature from `LEAST` to `LARGEST`.
    """
    mean_true = float(logits.gather(1, labels[:, None]).mean())

    def derivative(inverse: float) -> float:
        return float(((logits * inverse).softmax(1) * logits).sum(1).mean()) - mean_true

    low, high = 1 / LARGEST, 1 / LEAST
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        if derivative(middle) > 0:
            high = middle
        else:
            low = middle
    return 1 / math.sqrt(low * high)
