"""TensorBoard event files of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tensorboardX import SummaryWriter

from lc_trt.training.config import STAGES


@dataclass(frozen=True)
class StepReport:
    """Report of a training step.

    Attributes:
        phase: title of the phase.
        step: steps done.
        steps: steps of the whole run.
        losses: one loss per name.
        shares: share of pixels that exited at each stage; None without early exit.
        rate: learning rate of the trunk.
        skipped: steps skipped so far because their loss or gradient was not finite.
        seconds_left: estimated remaining time.
        names: of the losses.
    """

    phase: str
    step: int
    steps: int
    losses: list[float]
    shares: list[float] | None
    rate: float
    skipped: int
    seconds_left: float
    names: tuple[str, ...] = STAGES


class Log:
    """Writes scalars per step to OUT/log (``tensorboard --logdir OUT/log``).

    Args:
        out: folder of the run.
        step: first step to be written; a resumed run replaces older entries from there on.
    """

    def __init__(self, out: Path, step: int) -> None:
        # The library names files by the second; two runs within a second must not share one.
        self._writer = SummaryWriter(
            str(out / "log"), purge_step=step, flush_secs=10, filename_suffix=f".{step}"
        )

    def step(self, report: StepReport) -> None:
        """Log a training step.

        Args:
            report: the step's losses, shares and learning rate.
        """
        for name, loss in zip(report.names, report.losses, strict=True):
            self._writer.add_scalar(f"loss/{name.replace(' ', '_')}", loss, report.step)
        self._shares("train", report.shares, report.step)
        self._writer.add_scalar("rate", report.rate, report.step)

    def validation(
        self, step: int, values: Mapping[str, float], shares: Sequence[float] | None
    ) -> None:
        """Log a validation.

        Args:
            step: steps done.
            values: metrics by name.
            shares: share of pixels that exited at each stage; None without stages.
        """
        for name, value in values.items():
            self._writer.add_scalar(f"val/{name}", value, step)
        self._shares("val", shares, step)

    def _shares(self, kind: str, shares: Sequence[float] | None, step: int) -> None:
        for stage, share in enumerate(shares or (), 1):
            self._writer.add_scalar(f"{kind}_left/stage{stage}", share, step)

    def close(self) -> None:
        """Flush pending entries and close the file."""
        self._writer.close()
