"""The training loop: deep supervision, then cascade fine-tuning; resumable at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lc_trt.classes import find_classes
from lc_trt.errors import LcTrtError
from lc_trt.metrics import Confusion
from lc_trt.model.cascade import Cascade
from lc_trt.model.layers import BatchNorm
from lc_trt.model.presets import build_cascade, find_preset
from lc_trt.training import checkpoint
from lc_trt.training.config import TrainConfig
from lc_trt.training.data import Batches, FolderDataset, Image, class_weights
from lc_trt.training.losses import (
    CASCADE_WEIGHTS,
    DEEP_WEIGHTS,
    FINAL_ON_ALL,
    at_loss_size,
    cascade_losses,
    cross_entropy,
    deep_losses,
)

REFUSED_IN_A_ROW = 20  # non-finite steps after which a run has diverged
FINAL_ON_ALL_PART = 0.25  # of a batch, on which stage 3 is computed on all pixels
VALIDATE_EPOCHS = 3


@dataclass(frozen=True)
class Progress:
    """One step's report."""

    phase: str
    step: int
    steps: int
    losses: list[float]
    shares: list[float] | None
    rate: float
    refused: int
    seconds_left: float


@dataclass
class Trainer:
    """One run in one folder: ``last.pt`` to resume from, ``best.safetensors`` to ship.

    Attributes:
        report: called after every step.
        validated: called with phase, mIoU (0 to 1) and the shares that left at each stage.
        fresh: start over where the folder holds a run, which is resumed otherwise.
        step, refused: steps done, and how many of them were not finite.
        best: best mIoU of each phase.
    """

    config: TrainConfig
    out: Path
    report: Callable[[Progress], None] = lambda progress: None
    validated: Callable[[str, float, list[float]], None] = lambda phase, miou, shares: None
    fresh: bool = False
    step: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    best: dict[str, float] = field(default_factory=dict, init=False)
    _refused_in_a_row: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        config = self.config
        self.classes = find_classes(config.classes)
        self.train_set = FolderDataset(config.data, "train", len(self.classes))
        self.val_set = FolderDataset(config.data, "val", len(self.classes))
        self.batches = Batches(
            self.train_set, config.batch, config.crop, config.scale, config.seed, config.aspect
        )
        self.deep_steps = config.deep_epochs * self.batches.steps_per_epoch
        self.steps = self.deep_steps + config.cascade_epochs * self.batches.steps_per_epoch
        torch.manual_seed(config.seed)
        self.model: Cascade = build_cascade(config.preset, len(self.classes), config.heads)
        preset = find_preset(config.preset)
        self.mean = torch.tensor(preset.mean).view(1, 3, 1, 1)
        self.std = torch.tensor(preset.std).view(1, 3, 1, 1)
        self.optimizer = self._new_optimizer()
        self.weight = torch.from_numpy(class_weights(self.train_set))
        if self.fresh:
            self.state_path.unlink(missing_ok=True)
            self.best_path.unlink(missing_ok=True)
        if self.state_path.exists():
            self._resume()
        elif config.init is not None:
            checkpoint.load_into(self.model, Path(config.init))

    @property
    def state_path(self) -> Path:
        """What a run resumes from."""
        return self.out / "last.pt"

    @property
    def best_path(self) -> Path:
        """The weights that validated best in the phase reached."""
        return self.out / "best.safetensors"

    def _new_optimizer(self) -> torch.optim.Optimizer:
        c = self.config
        return torch.optim.AdamW(self.model.parameters(), c.rate, weight_decay=c.weight_decay)

    def _resume(self) -> None:
        state = checkpoint.load_state(self.state_path)
        ours = self.config.as_dict()
        for key, value in state["config"].items():
            if ours.get(key) != value:
                raise LcTrtError(
                    f"{self.state_path}: was trained with {key} {value!r}, not {ours.get(key)!r}; "
                    "give the same value, another --out, or --fresh to start over"
                )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.refused, self.best = state["step"], state["refused"], state["best"]

    def save(self) -> None:
        """Write the state to resume from."""
        checkpoint.save_state(
            self.state_path,
            {
                "config": self.config.as_dict(),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "refused": self.refused,
                "best": self.best,
            },
        )

    def to_input(self, image: Image) -> Tensor:
        """uint8 [N, H, W, 3] BGR to the normalised float [N, 3, H, W] the network takes."""
        x = torch.from_numpy(np.ascontiguousarray(image)).permute(0, 3, 1, 2).float()
        return (x - self.mean) / self.std

    def rate(self) -> float:
        """This step's learning rate: linear warm-up, then poly decay within the phase."""
        c = self.config
        deep = self.step < self.deep_steps
        start, end = (0, self.deep_steps) if deep else (self.deep_steps, self.steps)
        peak = c.rate if deep else c.cascade_rate
        done = (self.step - start) / max(1, end - start)
        warm = min(1.0, (self.step - start + 1) / max(1, c.warmup_steps))
        return peak * warm * math.pow(1.0 - done, 0.9)

    def losses(self, image: Image, label: Image) -> tuple[Tensor, list[Tensor], list[float] | None]:
        """Total loss, loss a stage, and the shares that left at each stage (fine-tuning)."""
        x, y = self.to_input(image), torch.from_numpy(label)
        if self.step < self.deep_steps:
            parts = deep_losses(self.model.deep(x), y, self.weight)
            return _weighted(DEEP_WEIGHTS, parts), parts, None
        output = self.model(x, self.config.exit_rho)
        parts = cascade_losses(output, y, self.weight)
        # Stage 3's loss on all pixels needs a dense pass, which costs more than the cascade
        # itself: a part of the (shuffled) batch estimates it at a part of the price.
        some = math.ceil(len(x) * FINAL_ON_ALL_PART)
        dense = self.model.final(output.features[:some])
        final = cross_entropy(*at_loss_size(dense, y[:some]), self.weight)
        total = _weighted(CASCADE_WEIGHTS, parts) + FINAL_ON_ALL * final
        shares = [float((output.stages == s).float().mean()) for s in (1, 2, 3)]
        return total, parts, shares

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the end, or until ``stop()``; saves on the way and when it leaves."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LcTrtError(f"{self.out}: cannot be a folder ({error.strerror})") from error
        began = saved = time.monotonic()
        first = self.step
        while self.step < self.steps and not stop():
            self._enter_phase()
            rate = self.rate()
            parts, shares = self._train_step(rate)
            self.step += 1
            spent = (time.monotonic() - began) / (self.step - first)
            left = spent * (self.steps - self.step)
            self.report(
                Progress(self.phase, self.step, self.steps, parts, shares, rate, self.refused, left)
            )
            if self._validate_now():
                self.validate()
            if time.monotonic() - saved > self.config.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.save()

    @property
    def phase(self) -> str:
        """Of the step that was done last: ``deep`` or ``cascade``."""
        return "deep" if self.step <= self.deep_steps else "cascade"

    def _train_step(self, rate: float) -> tuple[list[float], list[float] | None]:
        """One update of the weights; one that is not finite changes nothing and is counted."""
        # Dropout is seeded by the step, so that a resumed run draws what one in one go draws.
        torch.manual_seed((self.config.seed * 1_000_003 + self.step) % 2**63)
        statistics = [b.clone() for b in self.model.buffers()]
        total, parts, shares = self.losses(*self.batches[self.step])
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        if torch.isfinite(total) and torch.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self._refused_in_a_row = 0
        else:
            # The forward pass has already moved batch norm's statistics.
            for buffer, before in zip(self.model.buffers(), statistics, strict=True):
                buffer.copy_(before)
            self.refused += 1
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= REFUSED_IN_A_ROW:
                raise LcTrtError(
                    f"step {self.step}: {REFUSED_IN_A_ROW} steps in a row were not finite; start "
                    "over with a lower --rate, in another --out or with --fresh"
                )
        return [float(p.detach()) for p in parts], shares

    def _enter_phase(self) -> None:
        """Fine-tuning starts from deep supervision's weights, batch norm frozen."""
        if self.step == self.deep_steps:
            self.optimizer = self._new_optimizer()
        self.model.train()
        if self.step >= self.deep_steps:
            for module in self.model.modules():
                if isinstance(module, BatchNorm):
                    module.eval()

    def _validate_now(self) -> bool:
        epoch, rest = divmod(self.step, self.batches.steps_per_epoch)
        ends = self.step in (self.deep_steps, self.steps)
        return ends or (rest == 0 and epoch % VALIDATE_EPOCHS == 0)

    def validate(self, rho: tuple[float, float] = (0.985, 0.985)) -> float:
        """mIoU of the cascade on the validation split; keeps the best weights of each phase."""
        self.model.eval()
        confusion, shares = Confusion(len(self.classes)), np.zeros(3)
        with torch.inference_mode():
            for sample in self.val_set:
                output = self.model(self.to_input(sample.image[None]), rho)
                size = (sample.label.shape[0], sample.label.shape[1])
                labels = self.model.upsample(output.probabilities, size).argmax(1)[0]
                confusion.add(labels.numpy().astype(np.uint8), sample.label)
                shares += [float((output.stages == s).float().mean()) for s in (1, 2, 3)]
        phase, miou = self.phase, confusion.miou()
        left = [float(s) / len(self.val_set) for s in shares]
        # Weights from fine-tuning replace deep supervision's even when a little behind on
        # validation: only they were trained to run with region convolution.
        if miou >= self.best.get(phase, -1.0):
            self.best[phase] = miou
            checkpoint.save_weights(self.best_path, self.model, self._metadata(miou, left))
        self.validated(phase, miou, left)
        return miou

    def _metadata(self, miou: float, shares: list[float]) -> dict[str, Any]:
        c = self.config
        return {
            "preset": c.preset,
            "heads": c.heads or find_preset(c.preset).heads,
            "classes": c.classes,
            "step": self.step,
            "val_miou": miou,
            "val_shares": shares,
            "config": c.as_dict(),
        }


def _weighted(weights: tuple[float, ...], parts: list[Tensor]) -> Tensor:
    return torch.stack([w * p for w, p in zip(weights, parts, strict=True)]).sum()
