"""Options of quantisation: defaults, and values out of range."""

from __future__ import annotations

from pathlib import Path

import pytest

from lc_trt.errors import UsageError
from lc_trt.quantization.options import CalibrationOptions, QuantizationOptions
from lc_trt.quantization.range_estimators import METHODS, check_method


def test_the_defaults_of_calibration_are_valid_and_the_same_for_builds() -> None:
    calibration, build = CalibrationOptions(), QuantizationOptions(Path("images"))
    assert (build.method, build.percentile) == (calibration.method, calibration.percentile)
    check_method(calibration.method, calibration.percentile)
    assert calibration.method in METHODS


@pytest.mark.parametrize("drop", [0, 0.5, 100])
def test_a_drop_in_points_of_miou_is_accepted(drop: float) -> None:
    assert QuantizationOptions(Path("images"), max_drop=drop).max_drop == drop


@pytest.mark.parametrize("drop", [-1, 100.1, float("nan")])
def test_a_drop_out_of_range_is_rejected(drop: float) -> None:
    with pytest.raises(UsageError, match=f"--max-drop {drop:g}: expected points of mIoU, 0 to 100"):
        QuantizationOptions(Path("images"), max_drop=drop)
