"""Options for how a model is read: facts that a plain ONNX lacks, and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import option_values
from lc_trt.cli.option_groups.compose import OptionGroup

if TYPE_CHECKING:
    from lc_trt.compiler.frontend.import_model import ImportOptions
    from lc_trt.compiler.frontend.wrap_dense import Normalisation


@dataclass(frozen=True)
class PlainOnnx(OptionGroup):
    """Facts that a plain ONNX, one that `lc-trt export` did not write, lacks."""

    PANEL = "Plain ONNX"

    classes: Annotated[
        str | None,
        typer.Option(
            help="Its classes: voc, camvid, cityscapes, a number or a file classes.txt.",
            show_default="numbered",
        ),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Subtracted from its input (0..255), in its channel order.",
            show_default="ImageNet's",
        ),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Divides its input (0..255), in its channel order.",
            show_default="ImageNet's",
        ),
    ] = None
    bgr: Annotated[bool, typer.Option("--bgr", help="It takes BGR, not RGB.")] = False

    def import_options(self, size: tuple[int, int] | None = None) -> ImportOptions:
        """How to read it.

        Args:
            size: (height, width) in pixels; None for the default.

        Raises:
            UsageError: no such classes, or not three numbers.
        """
        from lc_trt.compiler.frontend.import_model import ImportOptions
        from lc_trt.data.classes import find_classes

        classes = find_classes(self.classes) if self.classes else None
        return ImportOptions(size, classes, self._normalisation())

    def _normalisation(self) -> Normalisation | None:
        if not (self.mean or self.std or self.bgr):
            return None
        from lc_trt.compiler.frontend.wrap_dense import Normalisation

        default = Normalisation()
        return Normalisation(
            option_values.three("--mean", self.mean) if self.mean else default.mean,
            option_values.three("--std", self.std) if self.std else default.std,
            rgb=not self.bgr,
        )


@dataclass(frozen=True)
class Size(OptionGroup):
    """The size of a model's images."""

    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="In pixels.", show_default="the model's own"),
    ] = None

    def pixels(self) -> tuple[int, int] | None:
        """(height, width) in pixels; None without the option.

        Raises:
            UsageError: another form.
        """
        return option_values.size("--size", self.size) if self.size else None


@dataclass(frozen=True)
class FreeSize(Size):
    """The size of images for models that have none of their own."""

    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="In pixels, of a checkpoint or a plain ONNX.",
            show_default="300x500",
        ),
    ] = None
