"""Verification of a build: agreement of its engine with FP32, and whether the cascade pays."""

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
from lc_trt.quantization.int8 import HELD_OUT
from lc_trt.runtime.compare_engines import Case, compare_engines, separating_rho
from lc_trt.runtime.engines.base import Engine
from lc_trt.runtime.resize import to_size
from lc_trt.utils.progress import ProgressMonitor
from lc_trt.video.sample_frames import check_samples

MIN_AGREEMENT = 0.99  # share of labels equal to ONNX Runtime's on the same model
MIN_AGREEMENT_REDUCED = 0.97  # share of labels, and of stages, equal to FP32's
CHECK_IMAGES = 4  # batches
_Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class VerifyOptions:
    """How an engine is verified before it is written.

    Attributes:
        images: folder of photographs; None: those held out of an INT8 calibration, else
            scikit-image's.
        min_agreement: share of labels, in reduced precision of stages too, that has to equal
            FP32's, 0 to 1; None: ``MIN_AGREEMENT``, or ``MIN_AGREEMENT_REDUCED`` in reduced
            precision.
        must_agree: False warns of an engine that does not agree.
    """

    images: Path | None = None
    min_agreement: float | None = None
    must_agree: bool = True


def check_engine(
    model: onnx.ModelProto,
    compiled: Compiled,
    prepared: PreparedOptions,
    manifest: Manifest,
    info: ModelInfo,
    verify: VerifyOptions,
    monitor: ProgressMonitor,
) -> Check:
    """Compare with ONNX Runtime running the exchange model's own function bodies in FP32.

    The worst pass counts, at the model's thresholds and at some that split its pixels. In reduced
    precision the mean over passes at the model's thresholds counts, of labels and of stages; the
    mIoU that an INT8 build measured on labelled images counts in its place. Of an INT8 engine that
    cannot run here the network it was built from is held to that, by ONNX Runtime.

    Args:
        model: the exchange model.
        compiled: the engine.
        prepared: the options that it was compiled with.
        manifest: the engine's.
        info: the model's metadata.
        verify: how to verify it.
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
    count = HELD_OUT if reduced else CHECK_IMAGES * manifest.batch
    origin, batches = _batches(prepared.held_out, verify.images, count, manifest)
    reference = open_reference(model, manifest.size, manifest.batch)
    engine = _open(compiled)
    try:
        cases = _cases(reference, batches, info, separate=not reduced)
        with monitor.phase("comparing with FP32", len(cases)) as advance:
            agreement = compare_engines(engine, reference, _counted(cases, advance))
    finally:
        engine.close()
        reference.close()
    required = None
    # A mean IoU counts in place of the shares, not of what neither can show.
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
    # It takes a dense engine and one in FP32.
    if not check.checked or not reduced or info.kind == "dense" or can.slow_build:
        return check
    speed = compare_speed(model, compiled, prepared.options, manifest, batches, monitor)
    return replace(check, speed=speed)


def _open(compiled: Compiled) -> Engine:
    if compiled.reference_model is not None:
        return open_onnx(REFERENCE, compiled.reference_model)
    return get_backend(compiled.backend).open(compiled)


def _batches(
    held_out: ImageList | None, images: Path | None, count: int, manifest: Manifest
) -> tuple[str, list[_Images]]:
    """The origin of the images in words, and batches of them, uint8 [batch, H, W, 3] each."""
    size, batch = manifest.size, manifest.batch
    frames: list[_Images] = []
    origin = ""
    if held_out is not None and images is None:
        read = (read_image(file) for file in held_out.files)
        frames = [to_size(image, size) for image in read if image is not None]
        origin = f"{len(frames)} images held out of the calibration"
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
        # With random weights the model's own thresholds may leave every region empty or full.
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
    """Refuse an engine that agrees too little, or warn of it.

    A confidence that is NaN or infinite is refused however little it changes the shares.

    Args:
        agreement: with ONNX Runtime in FP32.
        manifest: of the engine.
        origin: which images were compared, in words.
        verify: what has to agree, and whether an engine that does not is an error.
        monitor: gets the warning.
        what: how the message calls the engine.

    Returns:
        The share that has to agree, 0 to 1.

    Raises:
        LcTrtError: it does not agree, and has to.
    """
    can = get_backend(manifest.backend).capabilities
    reduced, least = manifest.precision not in can.exact_precisions, verify.min_agreement
    if least is None:
        least = MIN_AGREEMENT_REDUCED if reduced else MIN_AGREEMENT
    labels, stages = agreement.labels, 1.0
    if reduced:
        labels, stages = agreement.mean_labels, agreement.mean_stages
    if min(labels, stages) >= least and not agreement.non_finite:
        return least
    backend, precision = manifest.backend, manifest.precision
    shares = f"{labels:.2%} of the labels"
    if reduced:
        shares += f" and {stages:.2%} of the stages"
    found = (
        f"the {backend} {precision} {what} agrees with ONNX Runtime in FP32 on {shares} "
        f"({origin}), expected at least {least * 100:g}%"
    )
    if agreement.non_finite:
        found += (
            f"; {agreement.non_finite} confidences of one of them are NaN or infinite, expected 0"
        )
    if not verify.must_agree:
        monitor.warn(found)
        return least
    if Precision.parse(precision).quantized:
        advice = (
            "Calibrate on images like those it will see (100 or more), try --method entropy or "
            "percentile, keep layers out of it with --keep, or let labelled images choose them: "
            "--max-drop 1.0 --eval-root DIR"
        )
    else:
        other = "--backend onnxruntime" if precision == Precision.FP32 else "--fp32"
        advice = f"Build with {other} and report this model"
    raise LcTrtError(
        f"{found}; nothing was written. {advice}, or keep the engine as it is with --no-check"
    )
