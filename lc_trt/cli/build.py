"""``lc-trt build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import build_report, console
from lc_trt.cli import option_values as options
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.model import PlainOnnx
from lc_trt.errors import UsageError

_TRT = "TensorRT:"


@takes_groups
def build(
    model: Annotated[Path, typer.Argument(help="Cascade ONNX, or a plain segmentation ONNX.")],
    plain: PlainOnnx,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The bundle.", show_default="MODEL.lct")
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="auto, tensorrt, openvino or onnxruntime; auto takes the first that runs here."
        ),
    ] = "auto",
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Pixels.", show_default="the model's own")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Images a pass.", show_default="1")] = None,
    fp32: Annotated[
        bool, typer.Option("--fp32", help="Single precision; the CPU's default.")
    ] = False,
    fp16: Annotated[
        bool,
        typer.Option(
            "--fp16",
            help="Half precision; TensorRT's default. OpenVINO: where the processor has it.",
        ),
    ] = False,
    bf16: Annotated[
        bool,
        typer.Option(
            "--bf16", help="bfloat16, where the processor or GPU has it; not ONNX Runtime."
        ),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="INT8; needs --calib. TensorRT: the rest in FP16, or add --fp32, --bf16."
        ),
    ] = False,
    rho: Annotated[
        str | None,
        typer.Option(metavar="R1[,R2]", help="Default thresholds.", show_default="the model's own"),
    ] = None,
    fast_rho: Annotated[
        str | None,
        typer.Option(metavar="R1[,R2]", help="Fast thresholds.", show_default="the model's own"),
    ] = None,
    check_images: Annotated[
        Path | None,
        typer.Option(help="Photographs for the check.", show_default="scikit-image's"),
    ] = None,
    calib: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|TABLE",
            help="INT8: images, or a table of lc-trt calibrate. FP16: images to look for values "
            "beyond its range.",
            show_default="FP16: scikit-image's",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Of --calib DIR: mse, entropy, percentile or minmax.")
    ] = "mse",
    keep: Annotated[
        str | None,
        typer.Option(metavar="LAYER,..", help="INT8: layers that stay in floating point."),
    ] = None,
    eval_root: Annotated[
        Path | None,
        typer.Option(metavar="ROOT", help="INT8: labelled images to measure the cost on."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="INT8: layers stay in floating point until mIoU drops no more.",
            show_default="1.0 with --eval-root",
        ),
    ] = None,
    layout: Annotated[
        str, typer.Option(help="Of --eval-root: folder, voc or cityscapes.")
    ] = "folder",
    split: Annotated[str, typer.Option(help="Of --eval-root.")] = "val",
    min_agreement: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="Labels equal to FP32's that it has to reach; INT8, bf16 and FP16 on the CPU: "
            "stages, too.",
            show_default="99; INT8, bf16 and FP16 on the CPU: 97",
        ),
    ] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Keep an engine that does not agree, too.")
    ] = False,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="For video: lets frames reuse results of earlier ones (lc-trt run --reuse). "
            "On the CPU so far.",
        ),
    ] = False,
    min_batch: Annotated[int | None, typer.Option(help=f"{_TRT} fewest images a pass.")] = None,
    opt_batch: Annotated[int | None, typer.Option(help=f"{_TRT} what it is tuned for.")] = None,
    max_batch: Annotated[int | None, typer.Option(help=f"{_TRT} most images a pass.")] = None,
    min_size: Annotated[
        str | None, typer.Option(metavar="HxW", help=f"{_TRT} smallest image.")
    ] = None,
    opt_size: Annotated[
        str | None, typer.Option(metavar="HxW", help=f"{_TRT} what it is tuned for.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="HxW", help=f"{_TRT} largest image.")
    ] = None,
    workspace: Annotated[
        int | None,
        typer.Option(
            metavar="MIB", help=f"{_TRT} scratch memory.", show_default="all that the GPU has"
        ),
    ] = None,
    opt_level: Annotated[
        int | None,
        typer.Option(
            metavar="0-5", help=f"{_TRT} how long to look for fast kernels.", show_default="3"
        ),
    ] = None,
    timing_cache: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"{_TRT} times of kernels, read and added to."),
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible", help=f"{_TRT} load in later versions of the same major one."
        ),
    ] = False,
    hardware_compatible: Annotated[
        bool,
        typer.Option("--hardware-compatible", help=f"{_TRT} run on all GPUs from Ampere on."),
    ] = False,
    compute_capability: Annotated[
        str | None,
        typer.Option(
            metavar="X.Y[,X.Y]",
            help="TensorRT for RTX: GPUs to build for, which need not be here.",
            show_default="8.0,8.6,8.9,12.0",
        ),
    ] = None,
    plugin: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"{_TRT} plugin library.", show_default="the compiled one"
        ),
    ] = None,
    save_layers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"{_TRT} the engine's layers as JSON; needs a GPU."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help=f"{_TRT} show all that it logs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
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
    from lc_trt.builder.build import STEPS
    from lc_trt.builder.build import build as run_build
    from lc_trt.builder.verify import VerifyOptions
    from lc_trt.quantization.options import QuantizationOptions
    from lc_trt.trt.options import PlanOptions, make_profile
    from lc_trt.video.sample_frames import photographs_missing

    def size_of(name: str, text: str | None) -> tuple[int, int] | None:
        return options.size(name, text) if text else None

    sizes = (
        size_of("--min-size", min_size),
        size_of("--opt-size", opt_size),
        size_of("--max-size", max_size),
    )
    # With --int8 the others say what the rest is in.
    floating = options.one_of("precision", fp32=fp32, fp16=fp16, bf16=bf16)
    precision = "int8" if int8 else floating
    if calib is not None and precision not in ("int8", "fp16"):
        raise UsageError("--calib belongs to --int8 and --fp16")
    if precision != "int8" and (keep or eval_root or max_drop is not None):
        raise UsageError("--keep, --max-drop and --eval-root belong to --int8")
    if max_drop is not None and eval_root is None:
        raise UsageError("--max-drop needs --eval-root: labelled images to measure it on")
    asked = None
    if calib is not None and precision == "int8":
        asked = QuantizationOptions(
            calib,
            method=method,
            keep=tuple(part for part in keep.split(",") if part) if keep else (),
            max_drop=QuantizationOptions.max_drop if max_drop is None else max_drop,
            eval_root=eval_root,
            layout=layout,
            split=split,
        )
    if check_images is None and photographs_missing():
        console.warn(
            "no photographs to check the engine on, drawn scenes stand in: "
            "pip install 'lc-trt[bench]' or give --check-images DIR"
        )
    with console.bars("building", STEPS) as bars:
        bundle = run_build(
            model,
            out or model.with_suffix(".lct"),
            compile_options(
                backend,
                make_profile("size", size_of("--size", size), *sizes),
                make_profile("batch", batch, min_batch, opt_batch, max_batch) or 1,
                precision,
                floating if int8 else None,
                reuse=reuse,
                tensorrt=PlanOptions(
                    workspace=workspace,
                    opt_level=opt_level,
                    timing_cache=timing_cache,
                    version_compatible=version_compatible,
                    hardware_compatible=hardware_compatible,
                    compute_capabilities=options.capabilities(
                        "--compute-capability", compute_capability
                    )
                    if compute_capability
                    else (),
                    verbose=verbose,
                    save_layers=save_layers,
                    plugin=plugin,
                ),
            ),
            rho=options.thresholds("--rho", rho) if rho else None,
            fast_rho=options.thresholds("--fast-rho", fast_rho) if fast_rho else None,
            imports=plain.import_options(),
            quantization=asked,
            overflow_images=calib if precision == "fp16" else None,
            verify=VerifyOptions(
                images=check_images,
                min_agreement=None if min_agreement is None else min_agreement / 100,
                must_agree=not no_check,
            ),
            monitor=build_report.shown_by(bars),
        )
    build_report.show(bundle, as_json)
