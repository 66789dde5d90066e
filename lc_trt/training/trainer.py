"""The training loop: phases one after the other, resumable at any step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lc_trt.data.classes import find_classes
from lc_trt.data.datasets import open_dataset
from lc_trt.data.images import list_images
from lc_trt.errors import LcTrtError
from lc_trt.model.cascade import Cascade
from lc_trt.model.layers import freeze_batch_norm
from lc_trt.model.presets import build_cascade, find_preset
from lc_trt.training import checkpoint
from lc_trt.training.average import averaged
from lc_trt.training.batches import Batches, Image, class_weights
from lc_trt.training.config import Phase, TrainConfig
from lc_trt.training.log import Log
from lc_trt.training.losses import at_temperature
from lc_trt.training.objective import Objective, Taught, objective
from lc_trt.training.optimizer import new_optimizer
from lc_trt.training.schedule import RunSchedule
from lc_trt.training.teacher import Teacher
from lc_trt.training.validation import Validation, validate

REFUSED_IN_A_ROW = 20  # non-finite steps after which a run has diverged


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
        device: ``cpu``, ``cuda`` or another of torch's.
        report: called after every step.
        validated: called with the phase's name and its figures.
        fresh: start over where the folder holds a run, which is resumed otherwise.
        step, refused: steps done, and how many of them were not finite.
        best: best mIoU of each phase.
        loaded: what ImageNet weights were taken, in a sentence; empty where none were.
    """

    config: TrainConfig
    out: Path
    device: str = "cpu"
    report: Callable[[Progress], None] = lambda progress: None
    validated: Callable[[str, Validation], None] = lambda phase, found: None
    fresh: bool = False
    step: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    best: dict[str, float] = field(default_factory=dict, init=False)
    loaded: str = field(default="", init=False)
    _refused_in_a_row: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        config = self.config
        self.classes = find_classes(config.classes)
        preset = find_preset(config.preset)
        data = config.data
        self.train_set = open_dataset(data.layout, data.root, data.train, self.classes)
        self.val_set = open_dataset(data.layout, data.root, data.val, self.classes)
        distil = config.distil
        self.batches = Batches(
            self.train_set, config.batch, config.augment, config.seed, config.workers,
            list_images(distil.unlabelled).files if distil.unlabelled else (), distil.part,
            distil.scale,
        )  # fmt: skip
        self.teacher: Teacher | None = None
        if distil.teacher:
            self.teacher = Teacher(
                Path(distil.teacher), self.classes, config.batch, config.augment.crop
            )
        self.plan = RunSchedule(config.phases, self.batches.steps_per_epoch)
        torch.manual_seed(config.seed)
        self.model: Cascade = build_cascade(config.preset, len(self.classes), config.heads)
        self.model.to(self.device)
        # oneDNN's and cuDNN's convolutions are fastest on it, and batches arrive that way.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = torch.tensor(preset.mean, device=self.device).view(1, 3, 1, 1)
        self.std = torch.tensor(preset.std, device=self.device).view(1, 3, 1, 1)
        weighted = any(phase.class_weights == "log" for phase in config.phases)
        self.class_weight = self._class_weight() if weighted else None
        resumed = self.state_path.exists() and not self.fresh
        if not resumed:
            self._start()
        self.average = averaged(self.model, config.ema)
        self.optimizer = new_optimizer(self.model, self.phase.optimizer)
        if resumed:
            self._resume()
        elif self.fresh:  # last: an error before leaves the old run, which may be the start of this
            for path in (self.state_path, self.best_path, *map(self._kept_path, config.phases)):
                if path.exists():
                    path.unlink()

    @property
    def state_path(self) -> Path:
        """What a run resumes from."""
        return self.out / "last.pt"

    @property
    def best_path(self) -> Path:
        """The weights that validated best in the phase reached."""
        return self.out / "best.safetensors"

    def _kept_path(self, phase: Phase) -> Path:
        """The same of one phase."""
        return self.out / f"{phase.title}.safetensors"

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.plan.steps

    @property
    def phase(self) -> Phase:
        """The phase of the next step; the last one once all are done."""
        return self.plan.at(self.step).phase

    def _class_weight(self) -> Tensor:
        return torch.from_numpy(class_weights(self.train_set)).to(self.device)

    def _start(self) -> None:
        """The weights that the run begins with; ``loaded`` says what came from ImageNet."""
        if self.config.init is not None:
            checkpoint.load_into(self.model, Path(self.config.init))
        elif self.config.imagenet is not None:
            from lc_trt.model.imagenet import load_imagenet

            self.loaded = str(load_imagenet(self.model, self.config.imagenet))

    def _resume(self) -> None:
        state = checkpoint.load_state(self.state_path, self.device)
        checkpoint.check_same_run(self.state_path, state["config"], self.config.as_dict())
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.step, self.refused, self.best = state["step"], state["refused"], state["best"]
        self.optimizer = new_optimizer(self.model, self.phase.optimizer)
        if self.step > self.plan.at(self.step).start:  # there are no moments before
            self.optimizer.load_state_dict(state["optimizer"])

    def save(self) -> None:
        """Write the state to resume from."""
        checkpoint.save_state(
            self.state_path,
            {
                "config": self.config.as_dict(),
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "refused": self.refused,
                "best": self.best,
            },
        )

    def to_input(self, image: Image) -> Tensor:
        """uint8 [N, H, W, 3] BGR to the normalised float [N, 3, H, W] the network takes."""
        x = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        return (x.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def rate(self) -> float:
        """This step's learning rate, of the trunk."""
        return self.plan.at(self.step).rate(self.step)

    def objective(self, image: Image, label: Image) -> Objective:
        """This step's loss on a batch."""
        x, y = self.to_input(image), torch.from_numpy(label).to(self.device)
        weight = self.class_weight if self.phase.class_weights == "log" else None
        half = self.config.precision == "bf16"
        taught = None
        if self.teacher is not None:
            probabilities = torch.from_numpy(self.teacher(image)).to(self.device)
            distil = self.config.distil
            taught = Taught(at_temperature(probabilities, distil.temperature), distil.weight)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=half):
            return objective(self.model, x, y, self.phase, weight, taught=taught)

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the end, or until ``stop()``; saves on the way and when it leaves."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LcTrtError(f"{self.out}: cannot be a folder ({error.strerror})") from error
        log = Log(self.out, self.step + 1)
        began = saved = time.monotonic()
        first = self.step
        try:
            while self.step < self.steps and not stop():
                phase, rate = self._enter_phase(), self.rate()
                found = self._train_step(rate)
                self.step += 1
                losses = [float(part.detach()) for part in found.parts]
                left = (time.monotonic() - began) / (self.step - first) * (self.steps - self.step)
                log.step(self.step, losses, found.shares, rate)
                done = (phase.title, self.step, self.steps)
                self.report(Progress(*done, losses, found.shares, rate, self.refused, left))
                if self._validate_now():
                    self.validate(phase, log)
                if time.monotonic() - saved > self.config.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
            self.save()
        finally:
            log.close()
            self.batches.close()

    def _train_step(self, rate: float) -> Objective:
        """One update of the weights; one that is not finite changes nothing and is counted."""
        # Dropout is seeded by the step, so that a resumed run draws what one in one go draws.
        torch.manual_seed((self.config.seed * 1_000_003 + self.step) % 2**63)
        statistics = [b.clone() for b in self.model.buffers()]
        found = self.objective(*self.batches[self.step])
        self.optimizer.zero_grad()
        found.total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.phase.optimizer.clip)
        if torch.isfinite(found.total) and torch.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            self.optimizer.step()
            self.average.update_parameters(self.model)
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
                    "over with a lower optimizer.rate, in another --out or with --fresh"
                )
        return found

    def _enter_phase(self) -> Phase:
        """The step's phase; one starts from what the one before has kept, with new moments."""
        phase = self.phase
        if self.plan.begins(self.step):
            self.model.load_state_dict(self.average.module.state_dict())
            self.average = averaged(self.model, self.config.ema)
            self.optimizer = new_optimizer(self.model, self.phase.optimizer)
        self.model.train()
        if phase.freeze_batch_norm:
            freeze_batch_norm(self.model)
        return phase

    def _validate_now(self) -> bool:
        epoch, rest = divmod(self.step, self.batches.steps_per_epoch)
        return self.plan.ends(self.step) or (rest == 0 and epoch % self.config.validate_epochs == 0)

    def validate(self, phase: Phase, log: Log) -> None:
        """Measure the averaged weights and keep them where they are the phase's best.

        Weights from a later phase replace an earlier one's even when a little behind: only they
        were trained for what comes last (region convolution, above all).
        """
        model = cast(Cascade, self.average.module)
        rho = self.config.validate_rho if phase.loss == "cascade" else 1.0
        found = validate(model, self.val_set, self.to_input, rho)
        if found.miou >= self.best.get(phase.title, -1.0):
            self.best[phase.title] = found.miou
            metadata = self._metadata(phase, found)
            for path in (self._kept_path(phase), self.best_path):
                checkpoint.save_weights(path, model, metadata)
        values = {"miou": found.miou, "pixel_accuracy": found.pixel_accuracy}
        log.validation(self.step, values, found.shares)
        self.validated(phase.title, found)

    def _metadata(self, phase: Phase, found: Validation) -> dict[str, Any]:
        c = self.config
        return {
            "preset": c.preset,
            "heads": c.heads or find_preset(c.preset).heads,
            "classes": c.classes,
            "phase": phase.title,
            "step": self.step,
            "val_miou": found.miou,
            "val_shares": list(found.shares),
            "config": c.as_dict(),
        }
