"""Preparation of an INT8 build: the calibration table, and the layers left in floating point."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from lc_trt.bundle.sections import Exclusion, Int8Calibration, Miou
from lc_trt.compiler.options import CompileOptions, Quantization
from lc_trt.compiler.passes.quantization_plan import make_plan, select_layers
from lc_trt.compiler.pipeline import prepare
from lc_trt.data.classes import ClassSet
from lc_trt.data.datasets import open_dataset
from lc_trt.data.images import ImageList, list_images
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.calibrate import calibrate
from lc_trt.quantization.calibration_table import CalibrationTable, check_table, read_table
from lc_trt.quantization.layer_selection import LayerSelection
from lc_trt.quantization.options import CalibrationOptions, QuantizationOptions
from lc_trt.utils.progress import ProgressMonitor

HELD_OUT = 16  # images of a calibration folder that are left for verification


@dataclass(frozen=True)
class PreparedInt8:
    """Calibration of an INT8 build.

    Attributes:
        table: the calibration table.
        quantization: for `CompileOptions`.
        held_out: images left for verification; None where a table was given.
        calibration: the manifest's ``calibration.int8``.
        miou: mIoU in FP32 and in INT8; None without labelled images.
    """

    table: CalibrationTable
    quantization: Quantization
    held_out: ImageList | None
    calibration: Int8Calibration
    miou: Miou | None


def prepare_int8(
    model: onnx.ModelProto,
    info: ModelInfo,
    options: CompileOptions,
    requested: QuantizationOptions,
    monitor: ProgressMonitor,
) -> PreparedInt8:
    """Calibrate or read the table, and select the layers that stay in floating point.

    Args:
        model: an exchange model.
        info: its metadata.
        options: of the engine, with a size.
        requested: how to quantise.
        monitor: shows progress and warnings.

    Raises:
        LcTrtError: the images or the table cannot be used, or nothing is left for INT8.
        UsageError: ``requested.keep`` names a layer that does not exist.
    """
    assert options.size is not None
    size = options.size.opt
    plan = make_plan(prepare(model, size, 1))
    keep = select_layers(plan, requested.keep)
    table, held_out = _table(model, info, size, requested, monitor)
    excluded: tuple[Exclusion, ...] = ()
    if keep:
        excluded = (Exclusion(tuple(sorted(requested.keep)), "requested with --keep"),)
    miou = None
    if requested.eval_root is not None:
        classes = ClassSet(info.name, info.classes, info.colours)
        samples = open_dataset(requested.layout, requested.eval_root, requested.split, classes)
        selection = LayerSelection(
            model, info, options.at(size, 1), table.ranges, plan, samples, requested.max_drop,
            monitor,
        )  # fmt: skip
        keep, reasons, miou = selection.run(keep)
        excluded += reasons
    if keep >= set(plan.convolutions):
        raise LcTrtError(
            "every layer would stay in floating point, nothing is left for INT8: allow a larger "
            "--max-drop, calibrate with another --method or on more images, or build without --int8"
        )
    calibration = Int8Calibration(
        table.summary(), options.fallback_precision, excluded, tuple(sorted(keep))
    )
    return PreparedInt8(table, Quantization(table.ranges, keep), held_out, calibration, miou)


def _table(
    model: onnx.ModelProto,
    info: ModelInfo,
    size: tuple[int, int],
    requested: QuantizationOptions,
    monitor: ProgressMonitor,
) -> tuple[CalibrationTable, ImageList | None]:
    if requested.calib.suffix == ".json":
        table = read_table(requested.calib)
        check_table(table, model, str(requested.calib))
        return table, None
    images, held_out = list_images(requested.calib), None
    if len(images) > 1:
        images, held_out = images.split(min(HELD_OUT, max(1, len(images) // 5)))
    how = CalibrationOptions(requested.method, requested.percentile, size)
    table = calibrate(model, info, images, how, checkpoint=requested.checkpoint, monitor=monitor)
    return table, held_out
