"""Image folders and ranges of a tiny network for INT8 tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import onnx
from tiny_networks import INFO, frames

from lc_trt.data.images import list_images
from lc_trt.quantization.calibrate import Settings, calibrate
from lc_trt.quantization.calibration_table import Table

# Every pixel reaches every stage: no region of the tiny networks stays empty.
RHO = (1.0, 1.0)


def image_folder(root: Path, count: int, size: tuple[int, int] = (48, 72), seed: int = 0) -> Path:
    """A folder of PNG files."""
    root.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(frames(count, size, seed)):
        assert cv2.imwrite(str(root / f"{i:03}.png"), image)
    return root


def tiny_table(model: onnx.ModelProto, root: Path, settings: Settings | None = None) -> Table:
    """Calibrated on a few images of ``root`` at the thresholds where no region is empty."""
    settings = settings or Settings("minmax", rho=RHO, threads=1)
    return calibrate(model, INFO, list_images(root), settings)
