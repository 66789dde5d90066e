"""``lc-trt calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.data import Images
from lc_trt.cli.option_groups.hardware import Threads
from lc_trt.cli.option_groups.model import PlainOnnx, Size
from lc_trt.cli.option_groups.output import Output
from lc_trt.cli.option_groups.quantization import Calibration
from lc_trt.cli.option_groups.thresholds import Rho


@takes_groups
def calibrate(
    model: Annotated[Path, typer.Argument(help="Cascade ONNX, or a plain segmentation ONNX.")],
    photographs: Images,
    calibration: Calibration,
    thresholds: Rho,
    size: Size,
    plain: PlainOnnx,
    hardware: Threads,
    output: Output,
    out: Annotated[Path, typer.Option("--out", "-o", help="The table.")] = Path("table.json"),
) -> None:
    """Measure the ranges of a network's activations, for INT8.

    Use 100 images or more. They run through the network in FP32 one by one. An interrupted
    calibration resumes with the same command: its state is kept beside the table until the table
    is written.

    Example:
      lc-trt calibrate model.onnx --images photos/ -o table.json
      lc-trt build model.onnx --int8 --calib table.json
    """
    from dataclasses import asdict

    from lc_trt.data.images import list_images
    from lc_trt.quantization.calibrate import calibrate_file
    from lc_trt.quantization.options import CalibrationOptions

    options = CalibrationOptions(
        method=calibration.method,
        percentile=calibration.percentile,
        size=size.pixels(),
        rho=thresholds.pair(),
        threads=hardware.threads,
    )
    images = list_images(photographs.images).subset(photographs.limit)
    table = calibrate_file(
        model,
        images,
        out,
        options,
        imports=plain.import_options(),
        monitor=console.BarMonitor(),
    )
    skipped = f", {len(table.skipped)} skipped" if table.skipped else ""
    output.print(
        asdict(table.summary()),
        f"{out}: {len(table.tensors)} tensors of {table.model}, {table.method}, "
        f"{table.images} images{skipped}",
    )
