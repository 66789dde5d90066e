"""The training loop, resumable at any step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from lc_trt.errors import LcTrtError
from lc_trt.model.cascade import StagedNetwork
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.network import TrainableNetwork
from lc_trt.training import checkpoint
from lc_trt.training.batch_loss import BatchLoss
from lc_trt.training.best_weights import BestWeights
from lc_trt.training.check_network import configured_network
from lc_trt.training.config import Phase, TrainConfig
from lc_trt.training.denormals import denormals_flushed
from lc_trt.training.initial_weights import fit_new_stand_ins, load_initial_weights
from lc_trt.training.log import Log, StepReport
from lc_trt.training.objective import Objective
from lc_trt.training.run_data import open_run_data
from lc_trt.training.schedule import RunSchedule
from lc_trt.training.temperature import Calibration
from lc_trt.training.validation import Validation, validate
from lc_trt.training.weight_updates import MAX_SKIPPED_IN_A_ROW, WeightUpdates


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
        model: the network.
        loss: its loss on a batch.
        updates: its weights, their average and the optimizer.
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
    notes: tuple[str, ...] = field(default=(), init=False)
    _pretrained: dict[str, str] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        with denormals_flushed():
            self._prepare()

    def _prepare(self) -> None:
        config = self.config
        self.network = configured_network(config)
        data = open_run_data(config)
        self.classes, self.train_set, self.val_set = data.classes, data.train, data.val
        self.batches, self.notes = data.batches, data.notes
        self.loss = BatchLoss(config, self.network, data.classes, data.class_weight, self.device)
        self.schedule = RunSchedule(config.phases, self.batches.steps_per_epoch)
        torch.manual_seed(config.seed)
        self.model = self.network.build(len(self.classes))
        self.model.to(self.device)
        # The fastest layout for oneDNN and cuDNN, and the layout of the batches.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        resumed = self.state_path.exists() and not self.fresh
        if not resumed:
            self._start()
        if config.encoder is not None:
            cast(EncoderCascade, self.model).encoder.freeze(config.encoder.frozen)
        self.updates = WeightUpdates(self.model, config.ema, self.phase)
        self._best = BestWeights(self.out)
        if resumed:
            self._resume()
        elif self.fresh:  # last, so that an error leaves the old run, which may hold our `init`
            self.state_path.unlink(missing_ok=True)
            self._best.remove(config.phases)

    @property
    def state_path(self) -> Path:
        """State file that a run resumes from."""
        return self.out / "last.pt"

    @property
    def best_path(self) -> Path:
        """Best weights of the latest phase."""
        return self._best.path

    @property
    def best(self) -> dict[str, float]:
        """Best mIoU by phase, 0 to 1."""
        return self._best.miou

    @property
    def skipped(self) -> int:
        """Steps skipped because their loss or gradient was not finite."""
        return self.updates.skipped

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
            fit_new_stand_ins(self.model, self.train_set, self.loss.to_input)
        if initial.summary:
            self.notes = (*self.notes, initial.summary)
        self._pretrained = None if initial.pretrained is None else dict(initial.pretrained)

    def _resume(self) -> None:
        state = checkpoint.load_state(self.state_path, self.device)
        checkpoint.check_same_run(self.state_path, state["config"], self._resolved_config())
        self.step, self._best.miou = state["step"], state["best"]
        self._pretrained = state.get("pretrained")
        new_phase = self.step == self.schedule.span_at(self.step).start
        self.updates.load(state, self.phase, new_phase=new_phase)

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
                **self.updates.state(),
                "step": self.step,
                "best": self.best,
            },
        )

    def rate(self) -> float:
        """Learning rate of the trunk at the current step."""
        return self.schedule.span_at(self.step).rate(self.step)

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
        # Seed dropout by the step, so that resuming does not change the result.
        torch.manual_seed((self.config.seed * 1_000_003 + self.step) % 2**63)
        loss = self.updates.step(
            lambda: self.loss(self.model, *self.batches[self.step], self.phase),
            rate,
            self.phase.optimizer.clip,
        )
        if self.updates.diverged:
            raise LcTrtError(
                f"step {self.step}: {MAX_SKIPPED_IN_A_ROW} consecutive steps were not finite; "
                "lower optimizer.rate and start over in another --out or with --fresh"
            )
        return loss

    def _enter_phase(self) -> Phase:
        """The current phase; a new one starts from the averaged weights."""
        phase = self.phase
        if self.schedule.starts_phase(self.step):
            self.updates.start_phase(phase)
        self.updates.train_mode(phase)
        return phase

    def _validate_now(self) -> bool:
        epoch, rest = divmod(self.step, self.batches.steps_per_epoch)
        return self.schedule.ends_phase(self.step) or (
            rest == 0 and epoch % self.config.validate_epochs == 0
        )

    def validate(self, phase: Phase, log: Log) -> None:
        """Validate the averaged weights and save them if they are the best of the phase.

        Args:
            phase: the phase that the weights belong to.
            log: receives the metrics.
        """
        model = cast(TrainableNetwork, self.updates.average.module)
        exact = isinstance(model, StagedNetwork) and model.exact
        rho = self.config.validate_rho if phase.loss == "cascade" or exact else 1.0
        with self.loss.autocast():
            validation = validate(model, self.val_set, self.loss.to_input, rho)
        self._best.offer(phase, model, validation, self._metadata())
        values = {"miou": validation.miou, "pixel_accuracy": validation.pixel_accuracy}
        values |= {f"miou_stage{i}": v for i, v in enumerate(validation.stage_miou, 1)}
        log.validation(self.step, values, validation.shares)
        self.on_validation(phase.title, validation)

    def _calibrate(self) -> None:
        """Fit the temperatures of the best weights, unless an earlier run has done so."""
        if not isinstance(self.model, EncoderCascade):
            return
        done = self._best.calibrate(self.phase, self.val_set, self.config.validate_rho, self.device)
        if done is not None:
            calibration, validation = done
            self.on_calibration(calibration)
            self.on_validation(self.phase.title, validation)

    def _metadata(self) -> dict[str, Any]:
        """What a checkpoint says beside its phase and metrics."""
        mean, std = self.network.normalisation
        return {
            **self.network.as_metadata(),
            "normalisation": {"mean": list(mean), "std": list(std)},
            "pretrained": self._pretrained,
            "classes": self.classes.as_metadata(),
            "step": self.step,
            "config": self.config.as_dict(),
        }
