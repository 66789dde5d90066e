"""Options for the hardware that a model runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from lc_trt.cli.option_groups.compose import OptionGroup
from lc_trt.errors import UsageError
from lc_trt.utils.devices import parse_device


@dataclass(frozen=True)
class Threads(OptionGroup):
    """Hardware of subcommands that run on the CPU only."""

    PANEL = "Hardware"

    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads.", show_default="all")
    ] = None


@dataclass(frozen=True)
class Hardware(Threads):
    """Hardware of subcommands that run a bundle."""

    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="GPU of a TensorRT bundle: cuda:1 or 1; of others: cpu.",
            show_default="the first GPU",
        ),
    ] = None

    def device_name(self) -> str | None:
        """The device as `lc_trt.utils.devices.parse_device` returns it.

        Raises:
            UsageError: no such device.
        """
        try:
            return parse_device(self.device)
        except UsageError as error:
            raise UsageError(f"--{error}") from None
