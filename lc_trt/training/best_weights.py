"""The best weights of a run, in files of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lc_trt.data.datasets import Dataset
from lc_trt.model.network import TrainableNetwork
from lc_trt.training import checkpoint
from lc_trt.training.config import Phase
from lc_trt.training.temperature import Calibration, calibrate_checkpoint
from lc_trt.training.validation import Validation


@dataclass
class BestWeights:
    """The best weights of each phase, and those of the latest, which are ``best.safetensors``.

    The weights of a later phase replace those of an earlier one even at a lower mIoU: only they
    were trained for region convolution.

    Attributes:
        folder: of the run.
        miou: best mIoU by phase, 0 to 1.
    """

    folder: Path
    miou: dict[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The best weights of the latest phase."""
        return self.folder / "best.safetensors"

    def phase_path(self, phase: Phase) -> Path:
        """The best weights of a phase.

        Args:
            phase: of the run.
        """
        return self.folder / f"{phase.title}.safetensors"

    def offer(
        self,
        phase: Phase,
        model: TrainableNetwork,
        validation: Validation,
        metadata: dict[str, Any],
    ) -> None:
        """Save weights if none of their phase were better.

        Args:
            phase: the phase that they belong to.
            model: has the weights.
            validation: their metrics.
            metadata: of the files, beside the phase and the metrics.
        """
        if validation.miou < self.miou.get(phase.title, -1.0):
            return
        self.miou[phase.title] = validation.miou
        metadata = {**metadata, "phase": phase.title, **validation.as_metadata()}
        for path in (self.phase_path(phase), self.path):
            checkpoint.save_weights(path, model, metadata)

    def calibrate(
        self, phase: Phase, samples: Dataset, rho: float, device: str
    ) -> tuple[Calibration, Validation] | None:
        """Fit temperatures to the best weights, unless an earlier run has done so.

        Args:
            phase: the last phase.
            samples: labelled images that the network was not trained on.
            rho: exit threshold of both boundaries, to measure shares and mIoU.
            device: torch device.

        Returns:
            The temperatures, and the metrics with them; None if there was nothing to do.
        """
        if not self.path.exists() or "temperatures" in checkpoint.load_weights(self.path)[1]:
            return None
        return calibrate_checkpoint(
            self.path, (self.phase_path(phase), self.path), samples, rho, device
        )

    def remove(self, phases: Sequence[Phase]) -> None:
        """Remove the files.

        Args:
            phases: of the run.
        """
        for path in (self.path, *map(self.phase_path, phases)):
            path.unlink(missing_ok=True)
