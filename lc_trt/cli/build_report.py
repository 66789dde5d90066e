"""What `lc-trt build` says: bars and lines on stderr, the bundle on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from lc_trt.cli import console

if TYPE_CHECKING:
    from lc_trt.bundle.bundle import Bundle
    from lc_trt.bundle.sections import Check


def show(bundle: Bundle, as_json: bool) -> None:
    """The bundle in two lines or more, or its manifest as JSON."""
    manifest = bundle.manifest
    if as_json:
        typer.echo(json.dumps(json.loads(manifest.dumps()), indent=2))
        return
    height, width = manifest.size
    package = manifest.tensorrt.package if manifest.tensorrt else manifest.backend
    console.out().print(
        f"{bundle.path.name}: {manifest.kind} {manifest.name}, {width} wide x {height} high, "
        f"batch {manifest.batch}, {package} {manifest.backend_version}, {manifest.precision}\n"
        f"{_cost(manifest.precision, manifest.check)}{manifest.check.summary}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _cost(precision: str, check: Check) -> str:
    """What less than FP32 cost, one line each; nothing in FP32."""
    lines = ""
    miou, agreement = check.miou, check.agreement
    if miou is not None:
        lines += f"mIoU {miou.int8:.2%}, FP32 {miou.fp32:.2%}: {miou.drop:.2f} points\n"
    if precision != "fp32" and agreement is not None:
        lines += (
            f"equal to FP32: {agreement.mean_labels:.2%} of labels, "
            f"{agreement.mean_stages:.2%} of stages on average\n"
        )
    return lines
