"""Image folders and calibration tables of tiny networks."""

from __future__ import annotations

from pathlib import Path

import cv2
import onnx
from tiny_networks import INFO, frames

from lc_trt.data.images import list_images
from lc_trt.quantization.calibrate import calibrate
from lc_trt.quantization.calibration_table import CalibrationTable
from lc_trt.quantization.options import CalibrationOptions

# Every pixel reaches every stage: no region of the tiny networks is empty.
RHO = (1.0, 1.0)


def image_folder(root: Path, count: int, size: tuple[int, int] = (48, 72), seed: int = 0) -> Path:
    """A folder of PNG files."""
    root.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(frames(count, size, seed)):
        assert cv2.imwrite(str(root / f"{i:03}.png"), image)
    return root


def tiny_table(
    model: onnx.ModelProto, root: Path, options: CalibrationOptions | None = None
) -> CalibrationTable:
    """Calibrate on the images in ``root``, by default at thresholds where no region is empty."""
    options = options or CalibrationOptions("minmax", rho=RHO, threads=1)
    return calibrate(model, INFO, list_images(root), options)
