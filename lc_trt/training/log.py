"""What a run writes down beside its weights: event files that TensorBoard reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboardX import SummaryWriter


class Log:
    """Scalars by step in OUT/log; a resumed run replaces what it does again.

    View it with ``tensorboard --logdir OUT/log``.
    """

    def __init__(self, out: Path, step: int) -> None:
        """``step`` is the first one that will be written."""
        # The library names its file by the second: two starts within one must not share it.
        self._writer = SummaryWriter(
            str(out / "log"), purge_step=step, flush_secs=10, filename_suffix=f".{step}"
        )

    def step(
        self,
        step: int,
        losses: Sequence[float],
        shares: Sequence[float] | None,
        rate: float,
    ) -> None:
        """One training step: loss a stage, shares that left (fine-tuning), learning rate."""
        for stage, loss in enumerate(losses, 1):
            self._writer.add_scalar(f"loss/stage{stage}", loss, step)
        self._shares("train", shares, step)
        self._writer.add_scalar("rate", rate, step)

    def validation(self, step: int, values: Mapping[str, float], shares: Sequence[float]) -> None:
        """Figures of the validation split, and the shares that left."""
        for name, value in values.items():
            self._writer.add_scalar(f"val/{name}", value, step)
        self._shares("val", shares, step)

    def _shares(self, kind: str, shares: Sequence[float] | None, step: int) -> None:
        for stage, share in enumerate(shares or (), 1):
            self._writer.add_scalar(f"{kind}_left/stage{stage}", share, step)

    def close(self) -> None:
        """Write what waits."""
        self._writer.close()
