"""Options of a calibration and of an INT8 build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lc_trt.errors import UsageError

METHOD = "mse"
PERCENTILE = 99.99
MAX_DROP = 1.0  # points of mIoU


@dataclass(frozen=True)
class CalibrationOptions:
    """How activation ranges are measured.

    Attributes:
        method: range estimator (`lc_trt.quantization.range_estimators.find_range`).
        percentile: share of the values that the method ``percentile`` covers, in percent.
        size: (height, width) in pixels; None is the model's own.
        rho: thresholds, one per boundary; None is the model's default.
        threads: CPU threads; None for all.
    """

    method: str = METHOD
    percentile: float = PERCENTILE
    size: tuple[int, int] | None = None
    rho: tuple[float, float] | None = None
    threads: int | None = None


@dataclass(frozen=True)
class QuantizationOptions:
    """How an INT8 engine is calibrated, and which layers stay in floating point.

    Attributes:
        calib: a folder of images, or a table written by ``lc-trt calibrate``.
        method: range estimator for a calibration on images, as of `CalibrationOptions`.
        percentile: likewise.
        keep: layers that stay in floating point, by path or path prefix.
        max_drop: points of mIoU (0 to 100) that INT8 may cost on ``eval_root`` at the default
            thresholds. Layers are kept in floating point until it holds.
        eval_root: labelled images; None: the agreement with FP32 decides.
        layout: of the labelled images (`lc_trt.data.datasets.open_dataset`).
        split: of the labelled images.
        checkpoint: file from which an interrupted calibration on images resumes; the caller
            removes it. None: it starts again.

    Raises:
        UsageError: ``max_drop`` is out of range.
    """

    calib: Path
    method: str = METHOD
    percentile: float = PERCENTILE
    keep: tuple[str, ...] = ()
    max_drop: float = MAX_DROP
    eval_root: Path | None = None
    layout: str = "folder"
    split: str = "val"
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 100:
            raise UsageError(f"--max-drop {self.max_drop:g}: expected points of mIoU, 0 to 100")
