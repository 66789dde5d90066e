"""``lc-trt build``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lc_trt.cli import console, options


def build(
    model: Annotated[Path, typer.Argument(help="Cascade ONNX, or a plain segmentation ONNX.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The bundle.", show_default="MODEL.lct")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="auto, openvino or onnxruntime; auto takes the first installed.")
    ] = "auto",
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Pixels.", show_default="the model's own")
    ] = None,
    batch: Annotated[int, typer.Option(help="Images a pass.")] = 1,
    rho: Annotated[
        str | None,
        typer.Option(metavar="R1[,R2]", help="Default thresholds.", show_default="the model's own"),
    ] = None,
    fast_rho: Annotated[
        str | None,
        typer.Option(metavar="R1[,R2]", help="Fast thresholds.", show_default="the model's own"),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Classes of a plain ONNX: voc, camvid, cityscapes or a number."),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Plain ONNX: subtracted (0..255).", show_default="ImageNet's"
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Plain ONNX: divided by (0..255).", show_default="ImageNet's"
        ),
    ] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="Plain ONNX: takes BGR, not RGB.")] = False,
    check_images: Annotated[
        Path | None,
        typer.Option(help="Photographs for the check.", show_default="scikit-image's"),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="INT8; needs --calib.")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="bfloat16 (OpenVINO).")] = False,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="FP16, where the processor has it (OpenVINO).")
    ] = False,
    calib: Annotated[
        Path | None,
        typer.Option(metavar="DIR|TABLE", help="Images, or a table of lc-trt calibrate."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Of --calib DIR: mse, entropy, percentile or minmax.")
    ] = "mse",
    keep: Annotated[
        str | None,
        typer.Option(metavar="LAYER,..", help="INT8: layers that stay in FP32."),
    ] = None,
    eval_root: Annotated[
        Path | None,
        typer.Option(metavar="ROOT", help="INT8: labelled images to measure the cost on."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="INT8: layers stay in FP32 until mIoU drops no more.",
            show_default="1.0 with --eval-root",
        ),
    ] = None,
    layout: Annotated[
        str, typer.Option(help="Of --eval-root: folder, voc or cityscapes.")
    ] = "folder",
    split: Annotated[str, typer.Option(help="Of --eval-root.")] = "val",
    min_agreement: Annotated[
        float,
        typer.Option(
            metavar="PERCENT", help="Less than FP32: equal labels and stages it has to reach."
        ),
    ] = 97.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Build an engine from an ONNX.

    The engine is compared with ONNX Runtime before it is written; under 99 % equal labels
    nothing is. INT8, bf16 and FP16 are compared with FP32, on images held out of the
    calibration, and have to reach --min-agreement.

    Example:
      lc-trt build model.onnx -o model.lct --size 300x500
      lc-trt build model.onnx -o int8.lct --int8 --calib photos/
      lc-trt build model.onnx -o int8.lct --int8 --calib table.json --max-drop 1 --eval-root camvid
    """
    from lc_trt.build import STEPS
    from lc_trt.build import build as run_build
    from lc_trt.classes import find_classes
    from lc_trt.errors import UsageError
    from lc_trt.int8 import Int8
    from lc_trt.samples import photographs_missing

    precision = _precision(int8, bf16, fp16)
    asked = None
    if precision == "int8":
        if calib is None:
            raise UsageError("--int8 needs --calib: a folder of images, or a table")
        if max_drop is not None and eval_root is None:
            raise UsageError("--max-drop needs --eval-root: labelled images to measure it on")
        asked = Int8(
            calib,
            method=method,
            keep=tuple(part for part in keep.split(",") if part) if keep else (),
            max_drop=Int8.max_drop if max_drop is None else max_drop,
            eval_root=eval_root,
            layout=layout,
            split=split,
        )
    elif calib or keep or eval_root or max_drop is not None:
        raise UsageError("--calib, --keep, --max-drop and --eval-root belong to --int8")
    if check_images is None and photographs_missing():
        console.warn(
            "no photographs to check the engine on, drawn scenes stand in: "
            "pip install 'lc-trt[bench]' or give --check-images DIR"
        )
    with console.progress("building", STEPS) as advance:
        bundle = run_build(
            model,
            out or model.with_suffix(".lct"),
            backend=backend,
            size=options.size("--size", size) if size else None,
            batch=batch,
            rho=options.thresholds("--rho", rho) if rho else None,
            fast_rho=options.thresholds("--fast-rho", fast_rho) if fast_rho else None,
            classes=find_classes(classes) if classes else None,
            normalisation=options.normalisation(mean, std, bgr),
            check_images=check_images,
            precision=precision,
            int8=asked,
            min_agreement=min_agreement / 100,
            bars=console.progress,
            warn=console.warn,
            progress=lambda step: advance(1),
        )
    manifest = bundle.manifest
    if as_json:
        typer.echo(json.dumps(json.loads(manifest.dumps()), indent=2))
        return
    check = manifest.check
    height, width = manifest.size
    console.out().print(
        f"{bundle.path.name}: {manifest.kind} {manifest.name}, {width} wide x {height} high, "
        f"batch {manifest.batch}, {manifest.backend} {manifest.backend_version}, "
        f"{manifest.precision}\n{_cost(check)}"
        f"agrees with ONNX Runtime on {check['labels']:.2%} of labels, {check['stages']:.2%} of "
        f"stages ({check['count']} passes, {check['images']})",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _precision(int8: bool, bf16: bool, fp16: bool) -> str:
    from lc_trt.errors import UsageError

    asked = [name for name, wanted in (("int8", int8), ("bf16", bf16), ("fp16", fp16)) if wanted]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in asked)}: expected one precision")
    return asked[0] if asked else "fp32"


def _cost(check: dict[str, Any]) -> str:
    """What less than FP32 cost, one line each; nothing in FP32."""
    lines = ""
    if "miou" in check:
        miou = check["miou"]
        lines += f"mIoU {miou['int8']:.2%}, FP32 {miou['fp32']:.2%}: {miou['drop']:.2f} points\n"
    if "mean_labels" in check and check["mean_labels"] < 1:
        lines += (
            f"equal to FP32: {check['mean_labels']:.2%} of labels, "
            f"{check['mean_stages']:.2%} of stages on average\n"
        )
    return lines
