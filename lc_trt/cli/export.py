"""``lc-trt export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import console, option_values


def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="The ONNX to write.")],
    preset: Annotated[
        str | None, typer.Option(help="The network.", show_default="the checkpoint's")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Encoder of a cascade with exact regions.", show_default="the checkpoint's"
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights of 'lc-trt train'.", show_default="random")
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="HxW", help="Default size; a build may change it.")
    ] = "300x500",
    classes: Annotated[
        str | None,
        typer.Option(
            help="voc, camvid, cityscapes, a number or a file classes.txt.",
            show_default="the checkpoint's, or voc",
        ),
    ] = None,
    heads: Annotated[
        str | None,
        typer.Option(help="plain or aspp.", show_default="the checkpoint's, or the preset's"),
    ] = None,
    rho: Annotated[str, typer.Option(metavar="R1[,R2]", help="Default thresholds.")] = "0.985",
    fast_rho: Annotated[str, typer.Option(metavar="R1[,R2]", help="Fast thresholds.")] = "0.8",
    dense: Annotated[bool, typer.Option("--dense", help="Without the cascade.")] = False,
    half: Annotated[
        bool, typer.Option("--half", help="Store weights in FP16 (half the file); runs in FP32.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of random weights.")] = 0,
) -> None:
    """Export a network from PyTorch to a cascade ONNX.

    Peers (pidnet-s, ddrnet-23-slim) are written as plain ONNX, like networks of other projects.

    Example:
      lc-trt export --checkpoint best.safetensors -o model.onnx
      lc-trt export --encoder tf_efficientnet_lite2 --classes camvid -o random.onnx
    """
    from lc_trt.model.baselines import PEERS
    from lc_trt.training.export import export_file

    info = export_file(
        out,
        preset=preset,
        encoder=encoder,
        checkpoint=checkpoint,
        size=option_values.size("--size", size),
        classes=classes,
        heads=heads,
        rho=option_values.thresholds("--rho", rho),
        fast_rho=option_values.thresholds("--fast-rho", fast_rho),
        dense=dense,
        half=half,
        seed=seed,
    )
    weights = "random weights" if info.trained is None else "trained"
    console.show(
        f"{out}: {info.kind} {info.name}, {len(info.classes)} classes, {weights}, "
        f"{out.stat().st_size / 1e6:.1f} MB"
    )
    if info.name in PEERS:
        console.note(f"plain ONNX of any size: lc-trt build {out} --classes NAME --size HxW")
