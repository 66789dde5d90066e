"""Options for exit thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from lc_trt.bundle import thresholds
from lc_trt.cli import option_values
from lc_trt.cli.option_groups.compose import OptionGroup

Pair = tuple[float, float]


@dataclass(frozen=True)
class Rho(OptionGroup):
    """One threshold per boundary, in numbers."""

    PANEL = "Thresholds"

    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]", help="One threshold per boundary.", show_default="the model's own"
        ),
    ] = None

    def pair(self) -> Pair | None:
        """One threshold per boundary; None without the option.

        Raises:
            UsageError: not one or two numbers from 0 to 1.
        """
        return option_values.thresholds("--rho", self.rho) if self.rho else None


@dataclass(frozen=True)
class DefaultThresholds(Rho):
    """The thresholds that a model runs at by default."""

    rho: Annotated[
        str | None,
        typer.Option(metavar="R1[,R2]", help="Default thresholds.", show_default="the model's own"),
    ] = None
    fast_rho: Annotated[
        str | None,
        typer.Option(metavar="R1[,R2]", help="Fast thresholds.", show_default="the model's own"),
    ] = None

    def fast_pair(self) -> Pair | None:
        """The fast thresholds, one per boundary; None without the option.

        Raises:
            UsageError: not one or two numbers from 0 to 1.
        """
        return option_values.thresholds("--fast-rho", self.fast_rho) if self.fast_rho else None


@dataclass(frozen=True)
class RhoOrFast(OptionGroup):
    """The thresholds of one run."""

    PANEL = "Thresholds"

    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]", help="Thresholds, or fast.", show_default="the model's own"
        ),
    ] = None

    def rho_or_fast(self) -> thresholds.Rho | None:
        """One threshold per boundary, or ``fast`` for the bundle's; None without the option.

        Raises:
            UsageError: neither numbers from 0 to 1 nor fast.
        """
        return None if self.rho is None else thresholds.parse_rho(self.rho)


@dataclass(frozen=True)
class GovernedRho(RhoOrFast):
    """Fixed thresholds, or thresholds that adapt to hold a frame rate."""

    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]|fast",
            help="Thresholds from 0 to 1; fast for the bundle's fast ones. Default: the bundle's. "
            "With --target-fps the quality bound.",
        ),
    ] = None
    target_fps: Annotated[
        float | None,
        typer.Option(
            metavar="F",
            min=0.01,
            max=10_000,
            help="Hold F frames per second of each source by adapting the thresholds. "
            "The bundle has to be tuned (lc-trt tune).",
        ),
    ] = None
