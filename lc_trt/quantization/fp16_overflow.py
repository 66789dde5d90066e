"""An FP16 build before its engine is made: what FP16 cannot hold, and so stays in FP32."""

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
from lc_trt.quantization.activation_peaks import beyond_half, find_peaks
from lc_trt.runtime.resize import to_size
from lc_trt.utils.progress import ProgressMonitor
from lc_trt.video.sample_frames import check_samples

SAMPLES = 4  # photographs, where no images are given
_NAMED = 5  # in a warning; the manifest has all


def find_overflow(
    lowered: onnx.ModelProto,
    info: ModelInfo,
    size: tuple[int, int],
    images: Path | None,
    show: ProgressMonitor,
) -> Fp16Calibration:
    """Run images through the network in FP32 and find what goes beyond FP16.

    Args:
        lowered: what will be run in FP16, in FP32, for batch 1 at ``size``.
        info: what the model says of itself.
        size: (height, width) in pixels.
        images: a folder of them; None takes some photographs of scikit-image.
        show: receives progress, and a warning that names what stays in FP32.

    Returns:
        The manifest's ``calibration.fp16``; its ``tensors`` are `CompileOptions.fp32_tensors`.

    Raises:
        LcTrtError: the images cannot be used.
        UsageError: a calibration table, which does not have all tensors.
    """
    if images is not None and images.suffix == ".json":
        raise UsageError(
            f"--calib {images}: FP16 looks for values beyond its range on images; give their folder"
        )
    if images is None:
        samples = check_samples(None, SAMPLES, size)
        origin, count, frames = samples.origin, len(samples.frames), iter(samples.frames)
    else:
        listed = list_images(images)
        origin, count, frames = "calibration images", len(listed), _read(listed, size, show)
    with show.phase("looking for values beyond FP16", count) as advance:

        def counted() -> Iterator[npt.NDArray[np.uint8]]:
            for frame in frames:
                yield frame[None]
                advance(1)

        peaks = find_peaks(lowered, counted(), cascade=info.kind == "cascade")
    kept = dict(beyond_half(lowered, peaks))
    if kept:
        named = [f"{name} ({why})" for name, why in list(kept.items())[:_NAMED]]
        more = f" and {len(kept) - _NAMED} more, see the manifest" if len(kept) > _NAMED else ""
        show.warn(f"kept in FP32: {', '.join(named)}{more}")
    excluded = tuple(Exclusion((name,), reason) for name, reason in kept.items())
    return Fp16Calibration(origin, count, excluded)


def _read(
    images: ImageList, size: tuple[int, int], show: ProgressMonitor
) -> Iterator[npt.NDArray[np.uint8]]:
    skipped: list[str] = []
    for file in images.files:
        image = read_image(file)
        if image is None:
            skip_unreadable(images, file, skipped, show.warn)
        else:
            yield to_size(image, size)
