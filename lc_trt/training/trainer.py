"""The training loop, resumable at any step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from lc_trt.data.images import spread
from lc_trt.errors import LcTrtError
from lc_trt.model.cascade import StagedNetwork
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.layers import freeze_batch_norm
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec, TrainableNetwork
from lc_trt.model.stand_in import fit_stand_ins
from lc_trt.training import checkpoint
from lc_trt.training.average import moving_average
from lc_trt.training.batches import Image
from lc_trt.training.check_network import check_network
from lc_trt.training.config import Phase, TrainConfig
from lc_trt.training.denormals import denormals_flushed
from lc_trt.training.initial_weights import encoder_name, load_initial_weights
from lc_trt.training.log import Log, StepReport
from lc_trt.training.losses import apply_temperature
from lc_trt.training.normalise import Normalise
from lc_trt.training.objective import Objective, TeacherTarget, objective
from lc_trt.training.optimizer import new_optimizer
from lc_trt.training.run_data import open_run_data
from lc_trt.training.schedule import RunSchedule
from lc_trt.training.teacher import Teacher
from lc_trt.training.temperature import Calibration, calibrate_checkpoint
from lc_trt.training.validation import Validation, validate

FIT_IMAGES = 32  # to fit linear stand-ins to
MAX_SKIPPED_IN_A_ROW = 20  # consecutive non-finite steps after which a run has diverged


@dataclass
class Trainer:
    """A training run in a folder: resumes from ``last.pt``, saves ``best.safetensors``.

    Attributes:
        config: the configuration.
        out: folder of the run.
        device: torch device.
        on_step: called after every step.
        on_validation: called with the title of the phase and its metrics.
        on_calibration: called with the temperatures that are fitted at the end.
        fresh: start over even if the folder holds a run; by default that run is resumed.
        step: steps done.
        skipped: steps skipped because their loss or gradient was not finite.
        best: best mIoU by phase.
        notes: lines for people about data and initial weights.

    Raises:
        UsageError: unknown preset or classes.
        LcTrtError: unreadable data or weights, or ``out`` holds a run with another configuration.
    """

    config: TrainConfig
    out: Path
    device: str = "cpu"
    on_step: Callable[[StepReport], None] = lambda report: None
    on_validation: Callable[[str, Validation], None] = lambda phase, validation: None
    on_calibration: Callable[[Calibration], None] = lambda calibration: None
    fresh: bool = False
    step: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    best: dict[str, float] = field(default_factory=dict, init=False)
    notes: tuple[str, ...] = field(default=(), init=False)
    _pretrained: dict[str, str] | None = field(default=None, init=False)
    _skipped_in_a_row: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        with denormals_flushed():
            self._prepare()

    def _prepare(self) -> None:
        config = self.config
        encoder = config.encoder
        self.network = (
            NetworkSpec(config.preset, config.heads)
            if encoder is None
            else NetworkSpec(
                encoder=encoder_name(encoder), neighbours=Neighbours(encoder.neighbours)
            )
        )
        check_network(config, self.network)
        data = open_run_data(config)
        self.classes, self.train_set, self.val_set = data.classes, data.train, data.val
        self.batches, self.notes = data.batches, data.notes
        self.class_weight = (
            None
            if data.class_weight is None
            else torch.from_numpy(data.class_weight).to(self.device)
        )
        self.teacher: Teacher | None = None
        if config.distil.teacher:
            self.teacher = Teacher(
                Path(config.distil.teacher), self.classes, config.batch, config.augment.crop
            )
        self.schedule = RunSchedule(config.phases, self.batches.steps_per_epoch)
        torch.manual_seed(config.seed)
        self.model = self.network.build(len(self.classes))
        self.model.to(self.device)
        # The fastest layout for oneDNN and cuDNN, and the layout of the batches.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.to_input = Normalise(
            *self.network.normalisation, device=self.device, rgb=self.network.rgb
        )
        resumed = self.state_path.exists() and not self.fresh
        if not resumed:
            self._start()
        if encoder is not None:
            cast(EncoderCascade, self.model).encoder.freeze(encoder.frozen)
        self._trainable = [p for p in self.model.parameters() if p.requires_grad]
        self._freeze_first_stage()
        self.average = moving_average(self.model, config.ema)
        self.optimizer = new_optimizer(self.model, self.phase.optimizer)
        if resumed:
            self._resume()
        elif self.fresh:  # last, so that an error leaves the old run, which may hold our `init`
            for path in (self.state_path, self.best_path, *map(self._phase_path, config.phases)):
                if path.exists():
                    path.unlink()

    @property
    def state_path(self) -> Path:
        """State file that a run resumes from."""
        return self.out / "last.pt"

    @property
    def best_path(self) -> Path:
        """Best weights of the latest phase."""
        return self.out / "best.safetensors"

    def _phase_path(self, phase: Phase) -> Path:
        """Best weights of a phase."""
        return self.out / f"{phase.title}.safetensors"

    @property
    def steps(self) -> int:
        """Total number of steps."""
        return self.schedule.steps

    @property
    def phase(self) -> Phase:
        """Phase of the next step; the last phase at the end."""
        return self.schedule.span_at(self.step).phase

    def _start(self) -> None:
        """Load the initial weights."""
        initial = load_initial_weights(self.model, self.config)
        if initial.lacks_stand_ins:
            self._fit_stand_ins()
        if initial.summary:
            self.notes = (*self.notes, initial.summary)
        self._pretrained = None if initial.pretrained is None else dict(initial.pretrained)

    def _fit_stand_ins(self) -> None:
        """Start the stand-ins of a network whose initial weights have none."""
        samples = (self.train_set[i] for i in spread(len(self.train_set), FIT_IMAGES))
        inputs = (self.to_input(sample.image[None]) for sample in samples)
        fit_stand_ins(cast(EncoderCascade, self.model), inputs)

    def _resume(self) -> None:
        state = checkpoint.load_state(self.state_path, self.device)
        checkpoint.check_same_run(self.state_path, state["config"], self._resolved_config())
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.step, self.skipped, self.best = state["step"], state["refused"], state["best"]
        self._pretrained = state.get("pretrained")
        self._freeze_first_stage()
        self.optimizer = new_optimizer(self.model, self.phase.optimizer)
        if (
            self.step > self.schedule.span_at(self.step).start
        ):  # the optimizer of a new phase is empty
            self.optimizer.load_state_dict(state["optimizer"])

    def _resolved_config(self) -> dict[str, Any]:
        """The configuration with the classes that the data have."""
        return {**self.config.as_dict(), "classes": self.classes.as_metadata()}

    def save(self) -> None:
        """Write ``last.pt``."""
        checkpoint.save_state(
            self.state_path,
            {
                "config": self._resolved_config(),
                "pretrained": self._pretrained,
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "refused": self.skipped,
                "best": self.best,
            },
        )

    def rate(self) -> float:
        """Learning rate of the trunk at the current step."""
        return self.schedule.span_at(self.step).rate(self.step)

    def objective(self, image: Image, label: Image) -> Objective:
        """Loss of a batch at the current step.

        Args:
            image: BGR, uint8 [N, H, W, 3].
            label: class index per pixel, uint8 [N, H, W]; 255 is ignored.
        """
        x, y = self.to_input(image), torch.from_numpy(label).to(self.device)
        weight = self.class_weight if self.phase.class_weights == "log" else None
        target = None
        if self.teacher is not None:
            probabilities = torch.from_numpy(self.teacher(image)).to(self.device)
            distil = self.config.distil
            target = TeacherTarget(
                apply_temperature(probabilities, distil.temperature), distil.weight
            )
        with self._autocast():
            return objective(self.model, x, y, self.phase, weight, teacher=target)

    def _autocast(self) -> torch.autocast:
        enabled = self.config.precision == "bf16"
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=enabled)

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the end or until ``stop()`` is true, saving the state regularly and at the end.

        Args:
            stop: polled before every step.

        Raises:
            LcTrtError: ``out`` cannot be a folder, or the run has diverged.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LcTrtError(f"{self.out}: cannot create the folder ({error.strerror})") from error
        with denormals_flushed():
            self._run(stop)

    def _run(self, stop: Callable[[], bool]) -> None:
        log = Log(self.out, self.step + 1)
        started = saved = time.monotonic()
        first_step = self.step
        try:
            while self.step < self.steps and not stop():
                phase, rate = self._enter_phase(), self.rate()
                batch_loss = self._train_step(rate)
                self.step += 1
                seconds_per_step = (time.monotonic() - started) / (self.step - first_step)
                report = StepReport(
                    phase=phase.title,
                    step=self.step,
                    steps=self.steps,
                    losses=[float(loss.detach()) for loss in batch_loss.stage_losses],
                    names=batch_loss.names,
                    shares=batch_loss.shares,
                    rate=rate,
                    skipped=self.skipped,
                    seconds_left=seconds_per_step * (self.steps - self.step),
                )
                log.step(report)
                self.on_step(report)
                if self._validate_now():
                    self.validate(phase, log)
                if time.monotonic() - saved > self.config.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
            self.save()
            if self.step == self.steps:
                self._calibrate()
        finally:
            log.close()
            self.batches.close()

    def _train_step(self, rate: float) -> Objective:
        """Update the weights, unless the loss or gradient is not finite."""
        # Seed dropout by the step, so that resuming does not change the result.
        torch.manual_seed((self.config.seed * 1_000_003 + self.step) % 2**63)
        buffers = [b.clone() for b in self.model.buffers()]
        loss = self.objective(*self.batches[self.step])
        self.optimizer.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.phase.optimizer.clip)
        if torch.isfinite(loss.total) and torch.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            self.optimizer.step()
            self.average.update_parameters(self.model)
            self._skipped_in_a_row = 0
        else:
            # The forward pass has already updated the batch-norm statistics.
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            self.skipped += 1
            self._skipped_in_a_row += 1
            if self._skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
                raise LcTrtError(
                    f"step {self.step}: {MAX_SKIPPED_IN_A_ROW} consecutive steps were not finite; "
                    "lower optimizer.rate and start over in another --out or with --fresh"
                )
        return loss

    def _enter_phase(self) -> Phase:
        """Current phase; a new one starts from the averaged weights with a new optimizer."""
        phase = self.phase
        if self.schedule.starts_phase(self.step):
            self.model.load_state_dict(self.average.module.state_dict())
            self.model.zero_grad()  # of parameters that the new optimizer does not have
            self._freeze_first_stage()
            self.average = moving_average(self.model, self.config.ema)
            self.optimizer = new_optimizer(self.model, self.phase.optimizer)
        self.model.train()
        if phase.freeze_batch_norm:
            freeze_batch_norm(self.model)
        if phase.freeze_first_stage:
            for module in cast(StagedNetwork, self.model).first_stage():
                module.eval()
        return phase

    def _freeze_first_stage(self) -> None:
        """Fix the parameters of stage 1 in a phase that trains the later stages alone."""
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        if self.phase.freeze_first_stage:
            for module in cast(StagedNetwork, self.model).first_stage():
                module.requires_grad_(False)

    def _validate_now(self) -> bool:
        epoch, rest = divmod(self.step, self.batches.steps_per_epoch)
        return self.schedule.ends_phase(self.step) or (
            rest == 0 and epoch % self.config.validate_epochs == 0
        )

    def validate(self, phase: Phase, log: Log) -> None:
        """Validate the averaged weights and save them if they are the best of the phase.

        The weights of a later phase replace those of an earlier one even at a lower mIoU: only
        they were trained for region convolution.

        Args:
            phase: the phase that the weights belong to.
            log: receives the metrics.
        """
        model = cast(TrainableNetwork, self.average.module)
        exact = isinstance(model, StagedNetwork) and model.exact
        rho = self.config.validate_rho if phase.loss == "cascade" or exact else 1.0
        with self._autocast():
            validation = validate(model, self.val_set, self.to_input, rho)
        if validation.miou >= self.best.get(phase.title, -1.0):
            self.best[phase.title] = validation.miou
            metadata = self._metadata(phase, validation)
            for path in (self._phase_path(phase), self.best_path):
                checkpoint.save_weights(path, model, metadata)
        values = {"miou": validation.miou, "pixel_accuracy": validation.pixel_accuracy}
        values |= {f"miou_stage{i}": v for i, v in enumerate(validation.stage_miou, 1)}
        log.validation(self.step, values, validation.shares)
        self.on_validation(phase.title, validation)

    def _calibrate(self) -> None:
        """Fit the temperatures of the best weights, unless an earlier run has done so."""
        if not (isinstance(self.model, EncoderCascade) and self.best_path.exists()):
            return
        if "temperatures" in checkpoint.load_weights(self.best_path)[1]:
            return
        outputs = (self._phase_path(self.phase), self.best_path)
        calibration, validation = calibrate_checkpoint(
            self.best_path, outputs, self.val_set, self.config.validate_rho, self.device
        )
        self.on_calibration(calibration)
        self.on_validation(self.phase.title, validation)

    def _metadata(self, phase: Phase, validation: Validation) -> dict[str, Any]:
        mean, std = self.network.normalisation
        return {
            **self.network.as_metadata(),
            "normalisation": {"mean": list(mean), "std": list(std)},
            "pretrained": self._pretrained,
            "classes": self.classes.as_metadata(),
            "phase": phase.title,
            "step": self.step,
            **validation.as_metadata(),
            "config": self.config.as_dict(),
        }
