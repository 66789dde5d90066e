"""Verification of a build: the engine's agreement with FP32, and its speed-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from lc_trt.backends.base import Compiled
from lc_trt.backends.load import REFERENCE, open_onnx, open_reference
from lc_trt.backends.registry import get_backend
from lc_trt.builder.prepare_options import PreparedOptions
from lc_trt.builder.speed_check import compare_speed
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Agreement, Check
from lc_trt.compiler.precision import Precision
from lc_trt.data.images import ImageList, read_image
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.ir.provenance import has_exact_regions
from lc_trt.quantization.int8 import HELD_OUT
from lc_trt.runtime.compare_engines import (
    Case,
    compare_engines,
    influence_of_exits,
    separating_rho,
)
from lc_trt.runtime.engines.base import Engine
from lc_trt.runtime.resize import to_size
from lc_trt.utils.progress import ProgressMonitor
from lc_trt.video.sample_frames import check_samples

MIN_AGREEMENT = 0.99  # share of labels equal to ONNX Runtime's on the same model
FROM_CALIBRATION = "images held out of the calibration"
MIN_AGREEMENT_REDUCED = 0.97  # share of labels, and of stages, equal to FP32's
CHECK_BATCHES = 4
# Of a confidence, by the exits of others: far above rounding, far below what a neighbour weighs.
MAX_INFLUENCE = 0.01
_Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class VerifyOptions:
    """How an engine is verified before it is written.

    Attributes:
        images: folder of photographs; None: those held out of an INT8 calibration, else
            scikit-image's.
        min_agreement: share of labels (in reduced precision, also of stages) that has to equal
            FP32, 0 to 1; None: ``MIN_AGREEMENT``, or ``MIN_AGREEMENT_REDUCED`` in reduced
            precision.
        must_agree: False only warns of an engine that does not agree.
    """

    images: Path | None = None
    min_agreement: float | None = None
    must_agree: bool = True


def verify_engine(
    model: onnx.ModelProto,
    compiled: Compiled,
    prepared: PreparedOptions,
    manifest: Manifest,
    info: ModelInfo,
    verify: VerifyOptions,
    monitor: ProgressMonitor,
) -> Check:
    """Compare an engine with ONNX Runtime running the exchange model's function bodies in FP32.

    The worst pass counts, at the model's thresholds and at thresholds that split its pixels. In
    reduced precision, the mean over passes at the model's thresholds counts, for labels and
    stages; if an INT8 build measured mIoU on labelled images, mIoU counts instead. In a network
    with exact regions, exits must not change the pixels that go on. For an INT8
    engine that cannot run here, ONNX Runtime runs the network that it was built from.

    Args:
        model: the exchange model.
        compiled: the engine.
        prepared: the options with which it was compiled.
        manifest: of the engine.
        info: the model's metadata.
        verify: how to verify.
        monitor: shows progress and warnings.

    Returns:
        The manifest's ``check``.

    Raises:
        LcTrtError: the engine does not agree.
    """
    skip_reason, by_network = compiled.skip_reason, compiled.reference_model is not None
    if skip_reason is not None and not by_network:
        return Check(skip_reason=skip_reason)
    can = get_backend(manifest.backend).capabilities
    reduced = manifest.precision not in can.exact_precisions
    count = HELD_OUT if reduced else CHECK_BATCHES * manifest.batch
    origin, batches = _batches(prepared.held_out, verify.images, count, manifest)
    reference = open_reference(model, manifest.size, manifest.batch)
    engine = _open(compiled)
    try:
        cases = _cases(reference, batches, info, separate=not reduced)
        with monitor.phase("comparing with FP32", len(cases)) as advance:
            agreement = compare_engines(engine, reference, _counted(cases, advance))
        if has_exact_regions(model):
            check_exact_regions(engine, batches[:CHECK_BATCHES], manifest)
    finally:
        engine.close()
        reference.close()
    required = None
    # mIoU replaces the shares, but shows no NaN.
    if prepared.miou is None or agreement.non_finite:
        what = "engine's network" if by_network else "engine"
        required = judge(agreement, manifest, origin, verify, monitor, what)
    check = Check(
        skip_reason=skip_reason,
        run_by=REFERENCE if by_network else manifest.backend,
        images=origin,
        agreement=agreement,
        required=required,
        miou=prepared.miou,
    )
    # The comparison compiles a dense engine and one in FP32.
    if not check.checked or not reduced or info.kind == "dense" or can.slow_build:
        return check
    speed = compare_speed(model, compiled, prepared.options, manifest, batches, monitor)
    return replace(check, speed=speed)


def check_exact_regions(engine: Engine, batches: Sequence[_Images], manifest: Manifest) -> None:
    """Check that pixels which go on get what the whole network gives them, whoever else exits.

    Args:
        engine: of a cascade with exact regions.
        batches: uint8 [batch, H, W, 3] each, BGR.
        manifest: of the engine.

    Raises:
        LcTrtError: they do not.
    """
    found = max(
        influence_of_exits(engine, images, separating_rho(engine, images)) for images in batches
    )
    if not found <= MAX_INFLUENCE:
        raise LcTrtError(
            f"the {manifest.backend} {manifest.precision} engine changes the confidence of a pixel "
            f"by {found:.3g} when other pixels exit, expected at most {MAX_INFLUENCE:g} for a "
            "network with exact regions; nothing was written. Build with another --backend and "
            "report this model"
        )


def _open(compiled: Compiled) -> Engine:
    if compiled.reference_model is not None:
        return open_onnx(REFERENCE, compiled.reference_model)
    return get_backend(compiled.backend).open(compiled)


def _batches(
    held_out: ImageList | None, images: Path | None, count: int, manifest: Manifest
) -> tuple[str, list[_Images]]:
    """Description of the images, and uint8 [batch, H, W, 3] each."""
    size, batch = manifest.size, manifest.batch
    frames: list[_Images] = []
    origin = ""
    if held_out is not None and images is None:
        read = (read_image(file) for file in held_out.files)
        frames = [to_size(image, size) for image in read if image is not None]
        origin = f"{len(frames)} {FROM_CALIBRATION}"
    if not frames:
        samples = check_samples(images, count, size)
        origin, frames = samples.origin, samples.frames
    frames += [frames[-1]] * (-len(frames) % batch)
    return origin, list(np.stack(frames).reshape(-1, batch, *size, 3))


def _cases(
    reference: Engine, batches: Sequence[_Images], info: ModelInfo, *, separate: bool
) -> list[Case]:
    if info.kind == "dense":
        return [(images, None) for images in batches]
    rhos = (info.default_rho, info.fast_rho)
    cases: list[Case] = [(images, rho) for rho in rhos for images in batches]
    if separate:
        # With random weights, all regions may be empty or full at the model's own thresholds.
        cases += [(images, separating_rho(reference, images)) for images in batches]
    return cases


def _counted(cases: Sequence[Case], advance: Callable[[int], None]) -> Iterator[Case]:
    for case in cases:
        yield case
        advance(1)


def judge(
    agreement: Agreement,
    manifest: Manifest,
    origin: str,
    verify: VerifyOptions,
    monitor: ProgressMonitor,
    what: str = "engine",
) -> float:
    """Reject an engine that agrees too little with FP32, or warn of it.

    Confidences that are NaN or infinite are rejected however few there are.

    Args:
        agreement: with ONNX Runtime in FP32.
        manifest: of the engine.
        origin: description of the compared images.
        verify: the required share, and whether less is an error.
        monitor: shows the warning.
        what: the engine's name in messages.

    Returns:
        The required share, 0 to 1.

    Raises:
        LcTrtError: the engine has to agree and does not.
    """
    can = get_backend(manifest.backend).capabilities
    reduced, required = manifest.precision not in can.exact_precisions, verify.min_agreement
    if required is None:
        required = MIN_AGREEMENT_REDUCED if reduced else MIN_AGREEMENT
    labels, stages = agreement.labels, 1.0
    if reduced:
        labels, stages = agreement.mean_labels, agreement.mean_stages
    if min(labels, stages) >= required and not agreement.non_finite:
        return required
    backend, precision = manifest.backend, manifest.precision
    shares = f"{labels:.2%} of the labels"
    if reduced:
        shares += f" and {stages:.2%} of the stages"
    message = (
        f"the {backend} {precision} {what} agrees with ONNX Runtime in FP32 on {shares} "
        f"({origin}), expected at least {required * 100:g}%"
    )
    if agreement.non_finite:
        message += f"; {agreement.non_finite} confidences of either are NaN or infinite, expected 0"
    if not verify.must_agree:
        monitor.warn(message)
        return required
    if Precision.parse(precision).quantized:
        advice = (
            "Calibrate on 100 or more images of the target domain, try --method entropy or "
            "percentile, keep layers out of INT8 with --keep, or select them by labelled images: "
            "--max-drop 1.0 --eval-root DIR"
        )
    else:
        other = "--backend onnxruntime" if precision == Precision.FP32 else "--fp32"
        advice = f"Build with {other} and report this model"
    if reduced and verify.images is None and not origin.endswith(FROM_CALIBRATION):
        # On images unlike those that it knows, a network is unsure and rounding decides.
        advice = f"First compare on images of the network's domain (--check-images DIR). {advice}"
    raise LcTrtError(
        f"{message}; nothing was written. {advice}, or keep the engine as it is with --no-check"
    )
