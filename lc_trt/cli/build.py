"""``lc-trt build``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

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
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Build an engine from an ONNX.

    The engine is compared with ONNX Runtime before it is written; under 99 % equal labels
    nothing is.

    Example:
      lc-trt build model.onnx -o model.lct --size 300x500
    """
    from lc_trt.build import STEPS
    from lc_trt.build import build as run_build
    from lc_trt.classes import find_classes
    from lc_trt.samples import photographs_missing

    normalisation = None
    if mean or std or bgr:
        from lc_trt.compiler.wrap import Normalisation

        default = Normalisation()
        normalisation = Normalisation(
            options.three("--mean", mean) if mean else default.mean,
            options.three("--std", std) if std else default.std,
            not bgr,
        )
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
            normalisation=normalisation,
            check_images=check_images,
            progress=lambda step: advance(1),
        )
    manifest = bundle.manifest
    if as_json:
        typer.echo(json.dumps(json.loads(manifest.dumps()), indent=2))
        return
    height, width = manifest.size
    console.out().print(
        f"{bundle.path.name}: {manifest.kind} {manifest.name}, {width} wide x {height} high, "
        f"batch {manifest.batch}, {manifest.backend} {manifest.backend_version}\n"
        f"{manifest.check_summary}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
