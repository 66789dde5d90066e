"""Completes the options of a build with what a reduced precision needs measured first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from lc_trt.backends.registry import get_backend
from lc_trt.bundle.sections import Calibration, Miou
from lc_trt.compiler.options import CompileOptions
from lc_trt.data.images import ImageList
from lc_trt.errors import UsageError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.calibration_table import CalibrationTable
from lc_trt.quantization.fp16_overflow import find_overflow
from lc_trt.quantization.int8 import prepare_int8
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.utils.progress import ProgressMonitor


@dataclass(frozen=True)
class PreparedOptions:
    """Complete options, and the measurements they are based on.

    Attributes:
        options: for the backend.
        calibration: the manifest's section; None where nothing was measured.
        table: calibration table of an INT8 engine; None for other precisions.
        held_out: images of the calibration folder that are left for verification.
        miou: mIoU in FP32 and in INT8; None without labelled images.
    """

    options: CompileOptions
    calibration: Calibration | None = None
    table: CalibrationTable | None = None
    held_out: ImageList | None = None
    miou: Miou | None = None


def check_request(
    options: CompileOptions, quantization: QuantizationOptions | None, overflow_images: Path | None
) -> None:
    """Reject options that contradict each other, before anything is read.

    Args:
        options: as of `lc_trt.builder.build.build`.
        quantization: likewise.
        overflow_images: likewise.

    Raises:
        UsageError: INT8 without a calibration or the reverse, or an option that the backend does
            not support.
        LcTrtError: this machine lacks the precision, or something needed to compile.
    """
    if options.precision.quantized != (quantization is not None):
        raise UsageError("INT8 needs images or a table to calibrate with: --int8 --calib DIR")
    if overflow_images is not None and not options.precision.narrow_range:
        raise UsageError("--calib belongs to --int8 and --fp16")
    get_backend(options.backend).check(options)


def prepare_options(
    model: onnx.ModelProto,
    info: ModelInfo,
    options: CompileOptions,
    quantization: QuantizationOptions | None,
    overflow_images: Path | None,
    monitor: ProgressMonitor,
) -> PreparedOptions:
    """Calibrate INT8, select its layers, and find tensors beyond FP16, as the precision requires.

    Args:
        model: an exchange model.
        info: its metadata.
        options: with a size.
        quantization: as of `lc_trt.builder.build.build`.
        overflow_images: likewise.
        monitor: shows progress and warnings.

    Raises:
        LcTrtError: images or a table cannot be used, or nothing is left for INT8.
        UsageError: ``quantization`` names a layer that does not exist.
    """
    prepared = PreparedOptions(options)
    if quantization is not None:
        int8 = prepare_int8(model, info, options, quantization, monitor)
        options = replace(options, quantization=int8.quantization)
        calibration = Calibration(int8=int8.calibration)
        prepared = PreparedOptions(options, calibration, int8.table, int8.held_out, int8.miou)
        # A table comes without images.
        overflow_images = None if quantization.calib.suffix == ".json" else quantization.calib
    if not options.floating.narrow_range:
        return prepared
    assert options.size is not None
    plain = replace(options.with_fp32().at(options.size.opt, 1), reuse=False)
    lowered = get_backend(options.backend).lower(model, plain)
    overflow = find_overflow(lowered, info, options.size.opt, overflow_images, monitor)
    calibration = replace(prepared.calibration or Calibration(), fp16=overflow)
    options = replace(options, fp32_tensors=overflow.tensors)
    return replace(prepared, options=options, calibration=calibration)
