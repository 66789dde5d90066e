"""From a model and images to a calibration table: what ``lc-trt calibrate`` does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from lc_trt.compiler.passes.quantization_plan import QuantizationPlan, fingerprints, make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.data.images import RECOMMENDED_IMAGES, ImageList, read_image, skip_unreadable
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.activation_collector import Observer
from lc_trt.quantization.calibration_table import Table, TensorRange, model_digest
from lc_trt.quantization.checkpoint import Seen, load_seen, save_seen
from lc_trt.quantization.histogram import Histogram
from lc_trt.quantization.options import METHOD, PERCENTILE
from lc_trt.quantization.range_estimators import check_method, find_range
from lc_trt.runtime.resize import to_size
from lc_trt.utils.progress import SILENT, ProgressMonitor

SAVE_EVERY = 25  # images


@dataclass(frozen=True)
class Settings:
    """How to calibrate.

    Attributes:
        method, percentile: see `lc_trt.quantization.range_estimators.find_range`.
        size: (height, width); None is the model's own.
        rho: thresholds to see regions at; None is the model's default.
        threads: CPU threads, None for all.
    """

    method: str = METHOD
    percentile: float = PERCENTILE
    size: tuple[int, int] | None = None
    rho: tuple[float, float] | None = None
    threads: int | None = None


def calibrate(
    source: onnx.ModelProto,
    info: ModelInfo,
    images: ImageList,
    settings: Settings | None = None,
    *,
    state: Path | None = None,
    monitor: ProgressMonitor = SILENT,
) -> Table:
    """Run the images through the model in FP32 and find every tensor's range.

    Args:
        source: an exchange model; ``info`` are its facts.
        state: file to keep what was seen in, and to go on from; the caller removes it.
        monitor: shows progress, and warns of few images or a broken file.

    Raises:
        LcTrtError: too many images are unreadable (`images.skip_unreadable`), a tensor is NaN or
            infinite, or no pixel reached a part of the network.
        UsageError: an unknown method.
    """
    settings = settings or Settings()
    check_method(settings.method, settings.percentile)
    size = settings.size or info.size
    rho = (settings.rho or info.default_rho) if info.kind == "cascade" else None
    graph = prepare(source, size, 1)
    plan = make_plan(graph)
    made_by = fingerprints(graph, plan)
    if not plan.convolutions:
        raise LcTrtError("the model has no convolution with constant weights to run in INT8")
    if len(images) < RECOMMENDED_IMAGES:
        monitor.warn(
            f"{len(images)} calibration images: ranges may be too small; use at least "
            f"{RECOMMENDED_IMAGES}"
        )
    seen = _start(state, model_digest(made_by), images, size, rho, plan)
    observer = Observer(graph, plan, settings.threads)
    with monitor.phase("calibrating", len(images)) as advance:
        advance(seen.done)
        while seen.done < len(images):
            _see(observer, images, seen, size, rho, monitor.warn)
            advance(1)
            # The last one too: what follows a calibration may be stopped as well.
            if state is not None and (seen.done % SAVE_EVERY == 0 or seen.done == len(images)):
                save_seen(state, seen)
    tensors = tuple(
        _range(name, seen.histograms[name], settings, made_by[name]) for name in plan.tensors
    )
    return Table(
        model=info.name,
        model_sha256=model_digest(made_by),
        method=settings.method,
        percentile=settings.percentile if settings.method == "percentile" else None,
        images=len(images) - len(seen.skipped),
        skipped=tuple(seen.skipped),
        images_sha256=images.digest,
        size=size,
        rho=rho,
        tensors=tensors,
    )


def _start(
    state: Path | None,
    model: str,
    images: ImageList,
    size: tuple[int, int],
    rho: tuple[float, float] | None,
    plan: QuantizationPlan,
) -> Seen:
    text = json.dumps([model, images.digest, size, rho])
    key = hashlib.sha256(text.encode()).hexdigest()
    seen = Seen(key) if state is None else load_seen(state, key)
    for name in plan.tensors:
        seen.histograms.setdefault(name, Histogram())
    return seen


def _see(
    observer: Observer,
    images: ImageList,
    seen: Seen,
    size: tuple[int, int],
    rho: tuple[float, float] | None,
    warn: Callable[[str], None],
) -> None:
    """Add the next image to the histograms."""
    file = images.files[seen.done]
    image = read_image(file)
    seen.done += 1
    if image is None:
        skip_unreadable(images, file, seen.skipped, warn)
        return
    for name, values in observer.run(to_size(image, size)[None], rho):
        try:
            seen.histograms[name].add(values)
        except ValueError:
            raise LcTrtError(
                f"tensor {name!r} is NaN or infinite on {file}: the network is broken in FP32"
            ) from None


def _range(name: str, histogram: Histogram, settings: Settings, made_by: str) -> TensorRange:
    if not histogram.total:
        raise LcTrtError(
            f"tensor {name!r}: no pixel of any image got there at these thresholds; calibrate "
            "with larger ones, as --rho 0.99"
        )
    low, high = find_range(histogram, settings.method, settings.percentile)
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
    """Six digits: far finer than INT8's steps, and readable."""
    return float(f"{value:.6g}")
