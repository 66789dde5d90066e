"""``lc-trt build``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import build_report, console
from lc_trt.cli.option_groups.compilation import Engine, Shape, TensorRT, Verification
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.model import PlainOnnx
from lc_trt.cli.option_groups.output import Output
from lc_trt.cli.option_groups.quantization import Quantization
from lc_trt.cli.option_groups.thresholds import DefaultThresholds


@takes_groups
def build(
    model: Annotated[Path, typer.Argument(help="Cascade ONNX, or a plain segmentation ONNX.")],
    engine: Engine,
    shape: Shape,
    thresholds: DefaultThresholds,
    plain: PlainOnnx,
    quantization: Quantization,
    verification: Verification,
    tensorrt: TensorRT,
    output: Output,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The bundle.", show_default="MODEL.lct")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            help="Show what each pass did and why it left a node, and TensorRT's log.",
        ),
    ] = False,
) -> None:
    """Build an engine from an ONNX.

    The engine is compared with ONNX Runtime before it is written; under 99 % equal labels
    nothing is. INT8, bf16 and FP16 on the CPU are compared on images held out of the
    calibration, and 97 % of labels and stages have to be equal. Where no GPU can run a TensorRT
    engine in INT8, ONNX Runtime runs its network for that. TensorRT options mean what they mean
    to trtexec.

    Example:
      lc-trt build model.onnx -o model.lct --size 300x500
      lc-trt build model.onnx -o video.lct --size 300x500 --reuse
      lc-trt build model.onnx -o int8.lct --int8 --calib photos/
      lc-trt build model.onnx -o int8.lct --int8 --calib table.json --max-drop 1 --eval-root camvid
      lc-trt build model.onnx --backend tensorrt --int8 --calib photos/
      lc-trt build model.onnx --backend tensorrt --min-batch 1 --opt-batch 4 --max-batch 8
    """
    from lc_trt.backends.registry import compile_options
    from lc_trt.builder.build import build as run_build
    from lc_trt.video.sample_frames import photographs_missing

    size = shape.size_profile()
    precision = engine.precision()
    quantization_options = quantization.quantization_options(precision)
    if verification.check_images is None and photographs_missing():
        console.warn(
            "no photographs to check the engine on, drawn scenes stand in: "
            "pip install 'lc-trt[bench]' or give --check-images DIR"
        )
    with console.log(verbose):
        bundle = run_build(
            model,
            out or model.with_suffix(".lct"),
            compile_options(
                engine.backend,
                size,
                shape.batch_profile(),
                precision,
                engine.fallback_precision(),
                reuse=engine.reuse,
                tensorrt=tensorrt.plan_options(),
            ),
            rho=thresholds.pair(),
            fast_rho=thresholds.fast_pair(),
            imports=plain.import_options(),
            quantization=quantization_options,
            overflow_images=quantization.overflow_images(precision),
            verify=verification.verify_options(),
            monitor=console.BarMonitor(),
        )
    manifest = bundle.manifest
    output.print(json.loads(manifest.dumps()), build_report.describe(bundle.path.name, manifest))
