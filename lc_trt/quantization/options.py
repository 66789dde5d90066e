"""What an INT8 build is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lc_trt.errors import UsageError

METHOD = "mse"
PERCENTILE = 99.99
MAX_DROP = 1.0  # points of mIoU


@dataclass(frozen=True)
class QuantizationOptions:
    """How to calibrate an INT8 engine, and which layers stay in floating point.

    Attributes:
        calib: a folder of images, or a table that ``lc-trt calibrate`` wrote.
        method: how a calibration on images finds ranges
            (`lc_trt.quantization.range_estimators.find_range`).
        percentile: what the method ``percentile`` covers, in percent.
        keep: layers that stay in floating point, by path or the start of one.
        max_drop: points of mIoU (0 to 100) that the engine may lose on ``eval_root`` at the
            default thresholds; the layers that have to stay in floating point for it are found.
        eval_root: labelled images; None: the agreement with FP32 decides.
        layout: of the labelled images (`lc_trt.data.datasets.open_dataset`).
        split: of the labelled images.
        checkpoint: file that keeps what a calibration on images has seen, from which a stopped
            one resumes; the caller removes it. None: a stopped one starts again.
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
            raise UsageError(f"max drop {self.max_drop}: expected points of mIoU, 0 to 100")
