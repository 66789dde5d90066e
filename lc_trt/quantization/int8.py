"""An INT8 build before its engine is made: the calibration table, and what stays out of INT8."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from lc_trt.bundle.sections import Exclusion, Int8Calibration, Miou
from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.insert_qdq import Quantization
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan, make_plan, select_layers
from lc_trt.compiler.pipeline import compile_for_tensorrt, compile_model, prepare
from lc_trt.data.classes import ClassSet
from lc_trt.data.datasets import open_dataset
from lc_trt.data.images import ImageList, list_images
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.calibrate import Settings, calibrate
from lc_trt.quantization.calibration_table import Table, check_table, read_table
from lc_trt.quantization.layer_selection import find_kept, layer_groups, mean_iou
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.runtime.engines import TENSORRT, create_engine
from lc_trt.utils.progress import ProgressMonitor

HELD_OUT = 16  # images of a calibration folder that the check of the build gets, and no range


@dataclass(frozen=True)
class Prepared:
    """What the build goes on with.

    Attributes:
        quantization: for `compile_model` and `compile_for_tensorrt`.
        held_out: images that no range was taken from; None where a table was given.
        calibration: the manifest's ``calibration.int8``.
        miou: what INT8 costs; None without labels.
    """

    table: Table
    quantization: Quantization
    held_out: ImageList | None
    calibration: Int8Calibration
    miou: Miou | None


def prepare_int8(
    model: onnx.ModelProto,
    info: ModelInfo,
    backend: str,
    size: tuple[int, int],
    asked: QuantizationOptions,
    show: ProgressMonitor,
) -> Prepared:
    """Calibrate or read the table, and choose what stays in floating point.

    Raises:
        LcTrtError: the images or the table cannot be used, or nothing is left for INT8.
        UsageError: a layer that does not exist.
    """
    folded = prepare(model, size, 1)
    plan = make_plan(folded)
    by_hand = select_layers(plan, asked.keep)
    table, held_out = _table(model, info, folded, size, asked, show)
    excluded: tuple[Exclusion, ...] = ()
    if by_hand:
        excluded = (Exclusion(tuple(sorted(asked.keep)), "asked for with --keep"),)
    keep, miou = by_hand, None
    if asked.eval_root is not None:
        search = _Search(model, info, backend, size, table, asked, asked.eval_root, plan, show)
        keep, found, miou = search.run(by_hand)
        excluded += found
    if keep >= set(plan.convolutions):
        raise LcTrtError(
            "every layer would stay in floating point, nothing is left for INT8: allow a larger "
            "--max-drop, calibrate with another --method or on more images, or build without --int8"
        )
    calibration = Int8Calibration(table.summary(), "fp32", excluded, tuple(sorted(keep)))
    return Prepared(table, Quantization(table.ranges, keep), held_out, calibration, miou)


def _table(
    model: onnx.ModelProto,
    info: ModelInfo,
    folded: Graph,
    size: tuple[int, int],
    asked: QuantizationOptions,
    show: ProgressMonitor,
) -> tuple[Table, ImageList | None]:
    if asked.calib.suffix == ".json":
        table = read_table(asked.calib)
        check_table(table, folded, str(asked.calib))
        return table, None
    images, held_out = list_images(asked.calib), None
    if len(images) > 1:
        images, held_out = images.split(min(HELD_OUT, max(1, len(images) // 5)))
    settings = Settings(asked.method, asked.percentile, size)
    table = calibrate(model, info, images, settings, state=asked.checkpoint, monitor=show)
    return table, held_out


@dataclass
class _Search:
    """mIoU with some groups of layers in FP32, each choice measured once."""

    model: onnx.ModelProto
    info: ModelInfo
    backend: str
    size: tuple[int, int]
    table: Table
    asked: QuantizationOptions
    root: Path
    plan: QuantizationPlan
    show: ProgressMonitor

    def run(self, by_hand: frozenset[str]) -> tuple[frozenset[str], tuple[Exclusion, ...], Miou]:
        """What to keep, why, and the mIoU then."""
        info = self.info
        classes = ClassSet(info.name, info.classes, info.colours)
        self.samples = open_dataset(self.asked.layout, self.root, self.asked.split, classes)
        groups = layer_groups(self.plan)
        fp32 = self.measure(None, "mIoU in FP32")
        found: dict[frozenset[str], float] = {}

        def drop(kept: frozenset[str]) -> float:
            keep = by_hand.union(*(groups[name] for name in kept))
            if kept not in found:
                what = f"mIoU with {len(keep)} of {len(self.plan.convolutions)} layers in FP32"
                found[kept] = self.measure(keep, what)
            return (fp32 - found[kept]) * 100

        chosen = find_kept(list(groups), lambda kept: drop(kept) <= self.asked.max_drop)
        reasons = []
        for name in chosen:
            without = drop(frozenset(chosen) - {name})
            reason = f"without it mIoU drops by {without:.2f} points, over {self.asked.max_drop:g}"
            reasons.append(Exclusion((name,), reason))
        final = frozenset(chosen)
        figures = (fp32, fp32 - drop(final) / 100, drop(final))
        keep = by_hand.union(*(groups[name] for name in chosen))
        return keep, tuple(reasons), Miou(*(round(figure, 5) for figure in figures))

    def measure(self, keep: frozenset[str] | None, what: str) -> float:
        """mIoU in INT8 without these convolutions; in FP32 for None."""
        quantization = None if keep is None else Quantization(self.table.ranges, keep)
        if self.backend == TENSORRT:
            # A plan takes minutes and a GPU; ONNX Runtime computes the same codes. What FP16 beside
            # them cannot hold is looked for once it is known which layers stay out of INT8.
            runner = "onnxruntime"
            compiled = compile_for_tensorrt(self.model, self.size, 1, "fp32", quantization)
        else:
            runner = self.backend
            compiled = compile_model(self.model, self.backend, self.size, 1, quantization)
        engine = create_engine(runner, compiled.SerializeToString())
        rho = self.info.default_rho if self.info.kind == "cascade" else None
        try:
            samples = self.show.track(what, self.samples)
            return mean_iou(engine, samples, len(self.info.classes), rho)
        finally:
            engine.close()
