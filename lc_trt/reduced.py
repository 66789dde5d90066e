"""A build in less than FP32: how far it agrees with FP32, and whether the cascade still pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from lc_trt.agreement import Agreement, Case, compare_engines
from lc_trt.calibration.images import ImageList, read_image
from lc_trt.compiler.densify import densify
from lc_trt.compiler.fold import freeze
from lc_trt.compiler.pipeline import compile_model
from lc_trt.compiler.quantize import Quantization
from lc_trt.errors import LcTrtError
from lc_trt.int8 import HELD_OUT, Bars, Prepared
from lc_trt.ir.metadata import ModelInfo
from lc_trt.runtime.engines import create_engine
from lc_trt.runtime.image import to_size
from lc_trt.samples import check_samples

MIN_AGREEMENT_REDUCED = 0.97  # share of labels, and of stages, equal to FP32's
ROUNDS = 7  # timed passes of each engine, after one to warm up
_Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Target:
    """The engine that is built."""

    backend: str
    precision: str
    size: tuple[int, int]
    batch: int


def check_reduced(
    model: onnx.ModelProto,
    compiled: bytes,
    info: ModelInfo,
    target: Target,
    prepared: Prepared | None,
    check_images: Path | None,
    min_agreement: float,
    bars: Bars,
) -> dict[str, Any]:
    """Compare with the exchange model in FP32 at its thresholds; the manifest's ``check``.

    Args:
        prepared: of an INT8 build: its held-out images are looked at unless ``check_images``
            names others, and its mIoU, if there is one, decides in the agreement's place.

    Raises:
        LcTrtError: labels or stages agree on less than ``min_agreement``.
    """
    origin, batches = _batches(prepared.held_out if prepared else None, check_images, target)
    rhos: list[tuple[float, float] | None] = [None]
    if info.kind == "cascade":
        rhos = [info.default_rho, info.fast_rho]
    content = freeze(model, target.batch, target.size).SerializeToString()
    reference = create_engine("onnxruntime", content)
    engine = create_engine(target.backend, compiled, precision=target.precision)
    try:
        with bars("comparing with FP32", len(batches) * len(rhos)) as advance:
            agreement = compare_engines(engine, reference, _cases(batches, rhos, advance))
    finally:
        engine.close()
        reference.close()
    check = {"images": origin, **agreement.as_dict()}
    miou = prepared.miou if prepared else None
    if miou is not None:
        return {**check, "miou": miou}
    _require(agreement, target.precision, origin, min_agreement)
    return {**check, "required": min_agreement}


def _require(agreement: Agreement, precision: str, origin: str, least: float) -> None:
    labels, stages = agreement.mean_labels, agreement.mean_stages
    if min(labels, stages) >= least:
        return
    advice = {
        "int8": "calibrate on images like those it will see (100 or more), try --method entropy "
        "or percentile, keep layers in FP32 with --keep, or let labelled images choose them: "
        "--max-drop 1.0 --eval-root DIR"
    }.get(precision, "build without it")
    raise LcTrtError(
        f"the {precision} engine agrees with FP32 on {labels:.2%} of the labels and {stages:.2%} "
        f"of the stages ({origin}), expected {least:.0%} of both; nothing was written: {advice}"
    )


def _batches(
    held_out: ImageList | None, check_images: Path | None, target: Target
) -> tuple[str, list[_Images]]:
    """Where they come from in words, and uint8 [batch, H, W, 3] each."""
    frames: list[_Images] = []
    origin = ""
    if held_out is not None and check_images is None:
        read = (read_image(file) for file in held_out.files)
        frames = [to_size(image, target.size) for image in read if image is not None]
        origin = f"{len(frames)} images held out of the calibration"
    if not frames:
        samples = check_samples(check_images, HELD_OUT, target.size)
        origin, frames = samples.origin, samples.frames
    frames += frames[: -len(frames) % target.batch]
    while len(frames) < target.batch:
        frames.append(frames[-1])
    return origin, list(np.stack(frames).reshape(-1, target.batch, *target.size, 3))


def _cases(
    batches: Sequence[_Images],
    rhos: Sequence[tuple[float, float] | None],
    advance: Callable[[int], None],
) -> Iterator[Case]:
    for rho in rhos:
        for images in batches:
            yield images, rho
            advance(1)


def speed_over_dense(
    model: onnx.ModelProto,
    compiled: bytes,
    info: ModelInfo,
    target: Target,
    quantization: Quantization | None,
    check_images: Path | None,
    warn: Callable[[str], None],
) -> dict[str, float]:
    """Dense time over the cascade's, both in this precision, at its two operating points.

    Measured in turns on a few images: enough to warn where the cascade does not pay, not a
    benchmark. Narrow networks are so quick in INT8 that gathering rows costs more than it saves.
    """
    dense = compile_model(densify(model), target.backend, target.size, target.batch, quantization)
    engines = [
        create_engine(target.backend, content, precision=target.precision)
        for content in (dense.SerializeToString(), compiled)
    ]
    _, batches = _batches(None, check_images, target)
    found = {}
    try:
        for name, rho in {"default": info.default_rho, "fast": info.fast_rho}.items():
            thresholds = np.array(rho, np.float32)
            ratios = []
            for i in range(ROUNDS + 1):
                images = batches[i % len(batches)]
                times = []
                for engine, given in zip(engines, (None, thresholds), strict=True):
                    began = perf_counter()
                    engine.run(images, given)
                    times.append(perf_counter() - began)
                ratios.append(times[0] / times[1])
            found[name] = round(float(np.median(ratios[1:])), 3)
    finally:
        for engine in engines:
            engine.close()
    slower = [name for name, ratio in found.items() if ratio < 1]
    if slower:
        warn(
            f"at the {' and '.join(slower)} thresholds the cascade is slower here than its dense "
            f"network in {target.precision} ("
            + ", ".join(f"{name} {found[name]:.2f}x" for name in slower)
            + "): for speed export it with --dense"
        )
    return found
