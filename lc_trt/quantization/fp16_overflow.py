"""Preparation of an FP16 build: the tensors beyond its range, which stay in FP32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from lc_trt.bundle.sections import Exclusion, Fp16Calibration
from lc_trt.data.images import ImageList, list_images, read_image, skip_unreadable
from lc_trt.errors import UsageError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.activation_peaks import beyond_fp16, find_peaks
from lc_trt.runtime.resize import to_size
from lc_trt.utils.progress import ProgressMonitor
from lc_trt.video.sample_frames import check_samples

SAMPLES = 4  # photographs where no images are given
_LISTED = 5  # tensors in the warning; the manifest has all


def find_overflow(
    lowered: onnx.ModelProto,
    info: ModelInfo,
    size: tuple[int, int],
    images: Path | None,
    monitor: ProgressMonitor,
) -> Fp16Calibration:
    """Run images through the network in FP32 and find the tensors beyond the range of FP16.

    Args:
        lowered: the network that will run in FP16, lowered in FP32 for batch 1 at ``size``.
        info: the model's metadata.
        size: (height, width) in pixels.
        images: a folder of images; None takes photographs of scikit-image.
        monitor: shows progress, and a warning that names what stays in FP32.

    Returns:
        The manifest's ``calibration.fp16``; its ``tensors`` are `CompileOptions.fp32_tensors`.

    Raises:
        LcTrtError: the images cannot be used.
        UsageError: ``images`` is a calibration table, which lacks most tensors.
    """
    if images is not None and images.suffix == ".json":
        raise UsageError(
            f"--calib {images}: FP16 needs images to look for values beyond its range; give their "
            "folder"
        )
    if images is None:
        samples = check_samples(None, SAMPLES, size)
        origin, count, frames = samples.origin, len(samples.frames), iter(samples.frames)
    else:
        files = list_images(images)
        origin, count, frames = "calibration images", len(files), _read(files, size, monitor)
    with monitor.phase("looking for values beyond FP16", count) as advance:

        def batches() -> Iterator[npt.NDArray[np.uint8]]:
            for frame in frames:
                yield frame[None]
                advance(1)

        peaks = find_peaks(lowered, batches(), cascade=info.kind == "cascade")
    reasons = dict(beyond_fp16(lowered, peaks))
    if reasons:
        listed = [f"{name} ({reason})" for name, reason in list(reasons.items())[:_LISTED]]
        rest = len(reasons) - len(listed)
        more = f" and {rest} more, see the manifest" if rest else ""
        monitor.warn(f"kept in FP32: {', '.join(listed)}{more}")
    excluded = tuple(Exclusion((name,), reason) for name, reason in reasons.items())
    return Fp16Calibration(origin, count, excluded)


def _read(
    images: ImageList, size: tuple[int, int], monitor: ProgressMonitor
) -> Iterator[npt.NDArray[np.uint8]]:
    skipped: list[str] = []
    for file in images.files:
        image = read_image(file)
        if image is None:
            skip_unreadable(images, file, skipped, monitor.warn)
        else:
            yield to_size(image, size)
