"""Options for calibration and INT8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli.option_groups.compose import OptionGroup
from lc_trt.errors import UsageError

if TYPE_CHECKING:
    from lc_trt.compiler.precision import Precision
    from lc_trt.quantization.options import QuantizationOptions


@dataclass(frozen=True)
class Method(OptionGroup):
    """How the ranges are estimated from the observed activations."""

    PANEL = "Calibration"

    method: Annotated[str, typer.Option(help="mse, entropy, percentile or minmax.")] = "mse"


@dataclass(frozen=True)
class Calibration(Method):
    """A calibration whose result is a table."""

    percentile: Annotated[
        float, typer.Option(help="What --method percentile covers, in percent.")
    ] = 99.99


@dataclass(frozen=True)
class Quantization(Method):
    """Reduced precision: images to calibrate on, and layers that stay in floating point."""

    PANEL = "Reduced precision"

    method: Annotated[
        str, typer.Option(help="Of --calib DIR: mse, entropy, percentile or minmax.")
    ] = "mse"
    calib: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|TABLE",
            help="INT8: images, or a table of lc-trt calibrate. FP16: images to look for values "
            "beyond its range.",
            show_default="FP16: scikit-image's",
        ),
    ] = None
    keep: Annotated[
        str | None,
        typer.Option(metavar="LAYER,..", help="INT8: layers that stay in floating point."),
    ] = None
    eval_root: Annotated[
        Path | None,
        typer.Option(metavar="ROOT", help="INT8: labelled images to measure the cost on."),
    ] = None
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="INT8: layers stay in floating point until mIoU drops no more.",
            show_default="1.0 with --eval-root",
        ),
    ] = None
    layout: Annotated[str, typer.Option(help="Of --eval-root: folder, voc or cityscapes.")] = (
        "folder"
    )
    split: Annotated[str, typer.Option(help="Of --eval-root.")] = "val"

    def quantization_options(self, precision: Precision | None) -> QuantizationOptions | None:
        """How to quantise; None for another precision than INT8, and without images.

        Args:
            precision: of the engine; None is the backend's default.

        Raises:
            UsageError: options of another precision.
        """
        quantized = precision is not None and precision.quantized
        if self.calib is not None and not (quantized or _may_overflow(precision)):
            raise UsageError("--calib belongs to --int8 and --fp16")
        if not quantized and (self.keep or self.eval_root or self.max_drop is not None):
            raise UsageError("--keep, --max-drop and --eval-root belong to --int8")
        if self.max_drop is not None and self.eval_root is None:
            raise UsageError("--max-drop needs --eval-root: labelled images to measure it on")
        if self.calib is None or not quantized:
            return None
        from lc_trt.quantization.options import QuantizationOptions

        return QuantizationOptions(
            self.calib,
            method=self.method,
            keep=tuple(part for part in self.keep.split(",") if part) if self.keep else (),
            max_drop=QuantizationOptions.max_drop if self.max_drop is None else self.max_drop,
            eval_root=self.eval_root,
            layout=self.layout,
            split=self.split,
        )

    def overflow_images(self, precision: Precision | None) -> Path | None:
        """Images on which an FP16 build looks for values beyond its range.

        Args:
            precision: as of `quantization_options`.
        """
        return self.calib if _may_overflow(precision) else None


def _may_overflow(precision: Precision | None) -> bool:
    return precision is not None and precision.narrow_range
