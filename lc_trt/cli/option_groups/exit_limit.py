"""Options for what early exit may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli.option_groups.compose import OptionGroup
from lc_trt.errors import UsageError

if TYPE_CHECKING:
    from lc_trt.evaluation.risk_control import RiskControl


@dataclass(frozen=True)
class ExitLimit(OptionGroup):
    """What early exit may change at the default thresholds, and how that is bounded."""

    PANEL = "Default thresholds with a bound"

    max_changed: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="Set the default thresholds to the cheapest at which early exit changes at most "
            "this percentage of an image's labels, on average over images like --images. Needs no "
            "label maps. Frames of a video tell nothing of another day's.",
        ),
    ] = None
    confidence: Annotated[
        float | None,
        typer.Option(
            metavar="C",
            help="With --max-changed: probability that the bound holds, as in 0.95; takes more "
            "images. Default: it holds on average over draws of images.",
        ),
    ] = None
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="The same for points of mIoU lost on --images, with --labels; measured, no bound.",
        ),
    ] = None

    def control(self, *, labelled: bool, **others: bool) -> RiskControl | None:
        """The limit with its form, or None without one.

        Args:
            labelled: whether --labels is given.
            **others: further options by name, and whether they are given; none goes with a limit.

        Raises:
            UsageError: options that exclude or lack one another, or a number out of range.
        """
        if self.max_changed is None and self.confidence is not None:
            raise UsageError(
                "--confidence: is of the bound of --max-changed; add --max-changed PERCENT"
            )
        if self.max_changed is not None and self.max_drop is not None:
            raise UsageError("--max-changed and --max-drop: expected one limit")
        option = "--max-changed" if self.max_drop is None else "--max-drop"
        limit = self.max_changed if self.max_drop is None else self.max_drop
        if limit is None:
            return None
        for name in (name for name, given in others.items() if given):
            raise UsageError(f"--{name}: does not go with {option}, which stores no front; omit it")
        if not 0 < limit <= 100:
            unit = "percent of the labels" if self.max_drop is None else "points of mIoU"
            raise UsageError(f"{option} {limit:g}: expected {unit}, above 0 and at most 100")
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise UsageError(
                f"--confidence {self.confidence:g}: expected a probability between 0 and 1, as in "
                "0.95"
            )
        if labelled and self.max_drop is None:
            raise UsageError(f"--labels: {option} needs no label maps; omit them")
        if not labelled and self.max_drop is not None:
            raise UsageError(f"{option}: needs label maps; add --labels DIR")
        return self._form(limit / 100)

    def _form(self, alpha: float) -> RiskControl:
        from lc_trt.evaluation.risk_control import ConformalRiskControl, Empirical, LearnThenTest

        if self.max_drop is not None:
            return Empirical(alpha)
        if self.confidence is not None:
            return LearnThenTest(alpha, self.confidence)
        return ConformalRiskControl(alpha)
