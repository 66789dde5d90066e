"""``lc-trt inspect``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.model import Size
from lc_trt.cli.option_groups.output import Output

if TYPE_CHECKING:
    from rich.table import Table

    from lc_trt.bundle.manifest import Manifest
    from lc_trt.bundle.pareto_front import Front
    from lc_trt.compiler.frontend.summary import Summary


@takes_groups
def inspect(
    file: Annotated[Path, typer.Argument(help="An ONNX, or a bundle NAME.lct.")],
    size: Size,
    output: Output,
) -> None:
    """Show what is inside an ONNX or a built engine.

    Stages, operators, operations at a size, parameters, inputs and outputs; of a bundle, its
    manifest too.

    Example:
      lc-trt inspect model.lct
    """
    from lc_trt.bundle.bundle import SOURCE, read_bundle
    from lc_trt.bundle.pareto_front import read_front
    from lc_trt.compiler.frontend.read_onnx import load_onnx
    from lc_trt.compiler.frontend.summary import summarise

    manifest = front = None
    if file.is_dir():
        bundle = read_bundle(file)
        front = read_front(bundle)
        manifest, model = bundle.manifest, load_onnx(bundle.file(SOURCE))
    else:
        model = load_onnx(file)
    summary = summarise(model, size.pixels() or (manifest.size if manifest else None))
    values = summary.as_dict()
    if manifest:
        values["manifest"] = json.loads(manifest.dumps())
        values["tuning"] = front and json.loads(front.dumps())
    output.print(values, _facts(file, summary, manifest, front), _parts(summary))


def _facts(file: Path, summary: Summary, manifest: Manifest | None, front: Front | None) -> Table:
    info = summary.info
    rows = [("file", file.name), ("kind", summary.kind)]
    if info:
        rows += [
            ("network", f"{info.name}, {'trained' if info.trained else 'random weights'}"),
            ("classes", f"{len(info.classes)}: {', '.join(info.classes)}"),
        ]
        if info.encoder:
            rows += [
                ("encoder", info.encoder.name),
                ("encoder weights", info.encoder.weights),
                ("normalisation", info.encoder.normalisation),
            ]
    own = manifest or info  # a bundle may have other thresholds than its network
    if own and own.kind == "cascade":
        rows.append(("thresholds", f"{own.default_rho}, fast {own.fast_rho}"))
    if manifest and manifest.bound:
        rows.append(("bound on exits", manifest.bound.summary))
    if manifest:
        rows += [
            ("backend", f"{manifest.backend} {manifest.backend_version}, {manifest.precision}"),
            ("engine size", f"{manifest.size[0]}x{manifest.size[1]}, batch {manifest.batch}"),
            ("built", f"{manifest.created} by lc-trt {manifest.lc_trt_version}"),
            ("check", manifest.check.summary),
        ]
        if manifest.reuse:
            rows.append(("temporal reuse", "built for it: lc-trt run --reuse"))
    if front:
        least, most = front.points[0], front.points[-1]
        speed = f"{1e3 / most.ms:.1f} to {1e3 / least.ms:.1f} fps"
        rows.append(("tuned", f"{len(front.points)} pairs of thresholds, {speed}"))
    rows += [("opset", str(summary.opset)), ("parameters", f"{summary.parameters / 1e6:.2f} M")]
    for kind, tensors in (("input", summary.inputs), ("output", summary.outputs)):
        rows += [(kind, f"{t.name} {t.dtype} {list(t.shape)}") for t in tensors]
    return console.table(("what", "value"), rows)


def _parts(summary: Summary) -> Table:
    macs = summary.macs or {}
    size = f" at {summary.size[0]}x{summary.size[1]}" if summary.size and macs else ""
    parts = [
        (
            part,
            _giga(macs[part]) if part in macs else "",
            ", ".join(f"{count} {name}" for name, count in operators.items()),
        )
        for part, operators in summary.operators.items()
    ]
    if "dense" in macs:
        parts.append(("dense network", _giga(macs["dense"]), ""))
    return console.table(("part", f"GMAC{size}", "operators"), parts)


def _giga(macs: float) -> str:
    """Billions with two decimals, of small numbers with two significant digits."""
    value = macs / 1e9
    decimals = 2 if value >= 0.1 or not value else 1 - math.floor(math.log10(value))
    return f"{value:.{decimals}f}"
