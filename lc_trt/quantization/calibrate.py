"""Calibration: a model and images in, a table of activation ranges out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx

from lc_trt.compiler.frontend.import_model import ImportOptions, import_model
from lc_trt.compiler.options import check_shape
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan, make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.data.images import RECOMMENDED_IMAGES, ImageList, read_image, skip_unreadable
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.activation_collector import ActivationCollector
from lc_trt.quantization.calibration_table import (
    CalibrationTable,
    TensorRange,
    model_digest,
    origins,
    write_table,
)
from lc_trt.quantization.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lc_trt.quantization.histogram import Histogram
from lc_trt.quantization.options import CalibrationOptions
from lc_trt.quantization.range_estimators import check_method, find_range
from lc_trt.runtime.resize import to_size
from lc_trt.utils.files import check_file
from lc_trt.utils.progress import SILENT, ProgressMonitor

SAVE_EVERY = 25  # images


def checkpoint_path(out: Path) -> Path:
    """The file from which an interrupted calibration resumes, beside what it is for.

    Args:
        out: the table, or the bundle that is built.
    """
    return out.with_name(f".{out.name}.calibration")


def calibrate_file(
    source: Path,
    images: ImageList,
    out: Path,
    options: CalibrationOptions | None = None,
    *,
    imports: ImportOptions | None = None,
    monitor: ProgressMonitor = SILENT,
) -> CalibrationTable:
    """Calibrate an exchange ONNX, or a plain segmentation ONNX, and write the table.

    An interrupted calibration resumes if model, images, size and thresholds are the same.

    Args:
        source: the ONNX file.
        images: the calibration images.
        out: the table's file.
        options: how to calibrate; None for the defaults.
        imports: how to read a plain ONNX; None for the defaults. Their size is that of
            ``options``.
        monitor: shows progress and warnings.

    Raises:
        LcTrtError: the model or the images cannot be used, or the table cannot be written.
        UsageError: an unknown method or an invalid size.
    """
    options = options or CalibrationOptions()
    check_shape(options.size, 1)
    check_file(out, "choose another -o")
    imported = import_model(source, replace(imports or ImportOptions(), size=options.size))
    checkpoint = checkpoint_path(out)
    table = calibrate(
        imported.model, imported.info, images, options, checkpoint=checkpoint, monitor=monitor
    )
    write_table(out, table)
    checkpoint.unlink(missing_ok=True)
    return table


def calibrate(
    source: onnx.ModelProto,
    info: ModelInfo,
    images: ImageList,
    options: CalibrationOptions | None = None,
    *,
    checkpoint: Path | None = None,
    monitor: ProgressMonitor = SILENT,
) -> CalibrationTable:
    """Run the images through the model in FP32 and estimate the range of each activation.

    Args:
        source: an exchange model.
        info: its metadata.
        images: the calibration images.
        options: how to calibrate; None for the defaults.
        checkpoint: file from which an interrupted calibration resumes; the caller removes it.
        monitor: shows progress, and warns of few images or unreadable files.

    Raises:
        LcTrtError: too many images are unreadable (`images.skip_unreadable`), a tensor is NaN or
            infinite, or no pixel reached a part of the network.
        UsageError: an unknown method.
    """
    options = options or CalibrationOptions()
    check_method(options.method, options.percentile)
    size = options.size or info.size
    rho = (options.rho or info.default_rho) if info.kind == "cascade" else None
    graph = prepare(source, size, 1)
    plan = make_plan(graph)
    if not plan.convolutions:
        raise LcTrtError("the model has no convolution with constant weights to run in INT8")
    hashes = origins(source)
    if len(images) < RECOMMENDED_IMAGES:
        monitor.warn(
            f"{len(images)} calibration images: ranges may be too small; use at least "
            f"{RECOMMENDED_IMAGES}"
        )
    state = _resume(checkpoint, model_digest(hashes), images, size, rho, plan)
    collector = ActivationCollector(graph, plan, options.threads)
    with monitor.phase("calibrating", len(images)) as advance:
        advance(state.done)
        while state.done < len(images):
            _add_image(collector, images, state, size, rho, monitor.warn)
            advance(1)
            # After the last image too: a build that fails later need not calibrate again.
            if checkpoint and (state.done % SAVE_EVERY == 0 or state.done == len(images)):
                save_checkpoint(checkpoint, state)
    tensors = tuple(
        _range(name, state.histograms[name], options, hashes[name]) for name in plan.tensors
    )
    return CalibrationTable(
        model=info.name,
        model_sha256=model_digest(hashes),
        method=options.method,
        percentile=options.percentile if options.method == "percentile" else None,
        images=len(images) - len(state.skipped),
        skipped=tuple(state.skipped),
        images_sha256=images.digest,
        size=size,
        rho=rho,
        tensors=tensors,
    )


def _resume(
    checkpoint: Path | None,
    model: str,
    images: ImageList,
    size: tuple[int, int],
    rho: tuple[float, float] | None,
    plan: QuantizationPlan,
) -> Checkpoint:
    """The state to start from; ``model`` is the model's digest."""
    text = json.dumps([model, images.digest, size, rho])
    key = hashlib.sha256(text.encode()).hexdigest()
    state = Checkpoint(key) if checkpoint is None else load_checkpoint(checkpoint, key)
    for name in plan.tensors:
        state.histograms.setdefault(name, Histogram())
    return state


def _add_image(
    collector: ActivationCollector,
    images: ImageList,
    state: Checkpoint,
    size: tuple[int, int],
    rho: tuple[float, float] | None,
    warn: Callable[[str], None],
) -> None:
    """Add the activations of the next image to the histograms."""
    file = images.files[state.done]
    image = read_image(file)
    state.done += 1
    if image is None:
        skip_unreadable(images, file, state.skipped, warn)
        return
    for name, values in collector.run(to_size(image, size)[None], rho):
        try:
            state.histograms[name].add(values)
        except ValueError:
            raise LcTrtError(
                f"tensor {name!r} is NaN or infinite on {file}: the network is broken in FP32"
            ) from None


def _range(
    name: str, histogram: Histogram, options: CalibrationOptions, made_by: str
) -> TensorRange:
    if not histogram.total:
        raise LcTrtError(
            f"tensor {name!r}: no pixel of any image reached it at these thresholds; calibrate "
            "with larger ones, such as --rho 0.99"
        )
    low, high = find_range(histogram, options.method, options.percentile)
    return TensorRange(
        name=name,
        low=_rounded(low),
        high=_rounded(high),
        smallest=_rounded(histogram.low),
        largest=_rounded(histogram.high),
        values=histogram.total,
        made_by=made_by,
    )


def _rounded(value: float) -> float:
    """Six digits: readable, and far finer than the steps of INT8."""
    return float(f"{value:.6g}")
