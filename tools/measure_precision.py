"""Measure the accuracy of bf16, FP16 and INT8 on labelled images against allowed drops.

    python tools/measure_precision.py --data CAMVID [--limit N] [--bisect] [--out FILE.json]

Builds the shipped model in every precision that this machine supports, as ``lc-trt build`` does,
and evaluates each at the same thresholds. TensorRT's FP16 and BF16 graphs run in ONNX Runtime in
FP32, through the bodies of their region operators, with half-precision tensors and weights of the
plan explicitly rounded: ONNX Runtime itself computes FP16 in FP32 with few roundings, and lacks
BF16. With ``--bisect``, it also quantizes with a deliberately bad calibration (``--percentile``)
and lets the build find the layers to keep. Exits with 1 if a row exceeds its allowed drop. Takes
about five minutes on two cores, with ``--bisect`` about ten more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lc_trt.backends.load import load, open_onnx
from lc_trt.backends.registry import compile_options, get_backend
from lc_trt.builder.build import build
from lc_trt.builder.verify import VerifyOptions
from lc_trt.bundle.manifest import Manifest
from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.compiler.frontend.import_model import import_model
from lc_trt.compiler.graph import Graph
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import apply_passes
from lc_trt.compiler.passes.mixed_precision import NoteFp32
from lc_trt.compiler.precision import Precision
from lc_trt.data.images import list_images
from lc_trt.errors import LcTrtError
from lc_trt.evaluation.data import class_set, open_samples
from lc_trt.evaluation.evaluate import evaluate
from lc_trt.ir.interface import FP32_TENSORS
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_CONV
from lc_trt.quantization.calibrate import calibrate_file
from lc_trt.quantization.fp16_overflow import find_overflow
from lc_trt.quantization.options import CalibrationOptions, QuantizationOptions
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import write_json
from lc_trt.utils.progress import ProgressMonitor

MODEL = Path("models/irnet-small-camvid/model.onnx")
TABLE = Path("calib/irnet-small-camvid.json")
ROWS = (
    ("fp32", "openvino"), ("bf16", "openvino"), ("fp16", "openvino"), ("int8", "openvino"),
    ("int8", "onnxruntime"),
)  # fmt: skip
REFERENCE = "fp32 openvino"
ON_GRAPH = {
    half: f"{half} tensorrt's graph in onnxruntime" for half in (Precision.FP16, Precision.BF16)
}
MAX_DROP = {"bf16": 0.2, "fp16": 0.2, "int8": 1.0}  # points of mIoU
MAX_SHIFT = 3.0  # points of a stage's share
BAD_IMAGES = 20  # enough for ranges that are bad on purpose


@dataclass(frozen=True)
class Row:
    """Accuracy of a precision; values from 0 to 1."""

    name: str
    precision: str
    miou: float
    pixel_accuracy: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """The drop of a row and its limit, in points."""

    row: str
    drop: float
    allowed_drop: float
    shift: float
    allowed_shift: float
    met: bool


def main() -> int:
    """Run all steps; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="train/ and val/ with labels")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--limit", type=int, default=None, help="labelled images, default all")
    parser.add_argument("--bisect", action="store_true")
    parser.add_argument(
        "--percentile", type=float, default=99.5, help="percentile of the bad calibration"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/precision"), help="for bundles")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/precision-accuracy.json"))
    known = parser.parse_args()
    known.work.mkdir(parents=True, exist_ok=True)
    rows = run(known)
    verdicts = judge(rows)
    result: dict[str, Any] = {
        "model": known.model.parent.name,
        "data": f"{known.data.name} val",
        "rows": [asdict(row) for row in rows],
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "bisection": None,
        "environment": describe_environment(None),
        "command": command_line("python tools/measure_precision.py", sys.argv[1:]),
    }
    write_json(known.out, result, option="--out", parents=True)
    if known.bisect:  # takes longest: what was measured before it is written
        result["bisection"] = bisect(known)
        write_json(known.out, result, option="--out", parents=True)
    for row in rows:
        shares = " / ".join(f"{share:.1%}" for share in row.shares)
        print(f"{row.name}: mIoU {row.miou:.2%}, stages {shares}")
    for v in verdicts:
        verdict = "met" if v.met else "missed"
        print(f"{v.row}: {v.drop:+.2f} of {v.allowed_drop}, shares {v.shift:.2f}: {verdict}")
    return int(not all(v.met for v in verdicts))


def run(known: argparse.Namespace) -> list[Row]:
    """Evaluate every precision that this machine supports."""
    rows = []
    manifest: Manifest | None = None
    for precision, backend in ROWS:
        name, out = f"{precision} {backend}", known.work / f"{precision}-{backend}.lct"
        quantization = QuantizationOptions(known.table) if precision == "int8" else None
        try:
            bundle = build(
                known.model,
                out,
                compile_options(backend, precision=precision),
                quantization=quantization,
                verify=VerifyOptions(must_agree=False),
                monitor=_Warnings(),
            )
        except LcTrtError as error:
            console.warn(f"{name} left out: {error}")
            continue
        if name == REFERENCE:
            manifest = bundle.manifest
        with load(bundle.path) as segmenter:
            rows.append(row(name, precision, segmenter, known))
    assert manifest is not None, "FP32 builds everywhere"
    for half, name in ON_GRAPH.items():
        rows.append(row(name, half, tensorrt_graph(known.model, manifest, half), known))
    return rows


def tensorrt_graph(source: Path, manifest: Manifest, precision: Precision) -> Segmenter:
    """TensorRT's FP16 or BF16 graph, run by ONNX Runtime."""
    imported = import_model(source)
    model, info = imported.model, imported.info
    options = CompileOptions.of("tensorrt", manifest.size)
    plain = get_backend("tensorrt").lower(model, options)
    keep: Collection[str] = ()
    if precision.narrow_range:
        keep = find_overflow(plain, info, manifest.size, None, _Warnings()).tensors
    graph = rounded(plain, precision, keep).SerializeToString()
    return Segmenter(open_onnx("onnxruntime", graph), manifest)


def rounded(
    plain: onnx.ModelProto, precision: Precision, keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Emulate `ToHalf` in an FP32 graph by rounding values to half precision.

    Args:
        plain: the FP32 graph.
        precision: FP16 or BF16.
        keep: tensors that overflow FP16.
    """
    kind = precision.element_type
    array = onnx.helper.tensor_dtype_to_np_dtype(kind)
    graph = Graph(plain)
    apply_passes(graph, [NoteFp32(precision, keep)])
    types = graph.types().items()
    floats = {name for name, kind in types if kind.element == onnx.TensorProto.FLOAT}
    full = floats.intersection(json.loads(graph.metadata.pop(FP32_TENSORS)))
    nodes: list[onnx.NodeProto] = []
    seen: dict[str, str] = {}

    def half(name: str, output: str | None = None) -> str:
        """Round a tensor through half precision."""
        down = graph.make("Cast", [name], f"{name}/half", to=kind)
        outputs = None if output is None else [output]
        up = graph.make(
            "Cast", [down.output[0]], f"{name}/rounded", outputs=outputs, to=onnx.TensorProto.FLOAT
        )
        nodes.extend((down, up))
        return str(up.output[0])

    for node in graph.nodes:
        made = [name for name in node.output if name in floats]
        if not made or not full.isdisjoint(made):
            nodes.append(node)
            continue
        # Region convolution kernels add their bias in FP32.
        exact = NodeView(node).input("bias") if is_region(node, REGION_CONV) else ""
        for i, name in enumerate(node.input):
            value = graph.constants.get(name)
            if value is not None and value.dtype == np.float32 and name != exact:
                with np.errstate(over="ignore"):
                    value = value.astype(array).astype(np.float32)
                node.input[i] = graph.constant(f"{name}/rounded", value, np.float32)
            elif name in full:
                if name not in seen:
                    seen[name] = half(name)
                node.input[i] = seen[name]
        outputs = list(node.output)
        for i, name in enumerate(outputs):
            if name in floats:
                node.output[i] = graph.unique(f"{name}/exact")
        nodes.append(node)
        for name, exactly in zip(outputs, node.output, strict=True):
            if name in floats:
                half(exactly, name)
    graph.nodes = nodes
    return graph.encode()


def row(name: str, precision: str, segmenter: Segmenter, known: argparse.Namespace) -> Row:
    """Evaluate a segmenter."""
    manifest = segmenter.manifest
    classes = class_set(manifest.classes, manifest.colours)
    samples = open_samples("folder", known.data, "val", classes, known.limit)
    tracked = console.BarMonitor().track(name, samples)
    found = evaluate(segmenter, tracked, manifest.classes)
    assert found.shares is not None, "the shipped model is a cascade"
    shares = tuple(round(share, 5) for share in found.shares)
    return Row(name, precision, round(found.miou, 5), round(found.pixel_accuracy, 5), shares)


def judge(rows: list[Row]) -> list[Verdict]:
    """Compare the drop of each row with its limit."""
    reference = next(row for row in rows if row.name == REFERENCE)
    verdicts = []
    for row in rows:
        if row is reference:
            continue
        drop = round((reference.miou - row.miou) * 100, 3)
        shifts = [abs(a - b) * 100 for a, b in zip(row.shares, reference.shares, strict=True)]
        shift, allowed = round(max(shifts), 3), MAX_DROP[row.precision]
        met = drop <= allowed and shift <= MAX_SHIFT
        verdicts.append(Verdict(row.name, drop, allowed, shift, MAX_SHIFT, met))
    return verdicts


def bisect(known: argparse.Namespace) -> dict[str, Any]:
    """Build with bad ranges and ``--max-drop``: evaluations, kept layers and result."""
    images = list_images(known.data / "train" / "images").subset(BAD_IMAGES)
    table = known.work / "bad.json"
    calibrate_file(known.model, images, table, CalibrationOptions("percentile", known.percentile))
    monitor = _Warnings()
    bundle = build(
        known.model,
        known.work / "kept.lct",
        compile_options("openvino", precision="int8"),
        quantization=QuantizationOptions(table, eval_root=known.data, max_drop=MAX_DROP["int8"]),
        monitor=monitor,
    )
    calibration = bundle.manifest.calibration
    miou = bundle.manifest.check.miou
    assert calibration is not None and calibration.int8 is not None, "every INT8 bundle has one"
    assert miou is not None, "labelled images were given"
    return {
        "method": "percentile",
        "percentile": known.percentile,
        "images": len(images),
        "max_drop": MAX_DROP["int8"],
        "evaluations": monitor.evaluations,
        "excluded": [asdict(entry) for entry in calibration.int8.excluded],
        "miou": asdict(miou),
    }


class _Warnings(ProgressMonitor):
    """Prints warnings on stderr and counts evaluations."""

    def __init__(self) -> None:
        self.evaluations: list[str] = []

    def start(self, phase: str, steps: int) -> None:
        if phase.startswith("mIoU"):
            self.evaluations.append(phase)
            console.note(phase)

    def warn(self, text: str) -> None:
        console.warn(text)


if __name__ == "__main__":
    sys.exit(main())
