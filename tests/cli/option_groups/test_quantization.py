"""Calibration and INT8, from options."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsed_options import parsed

from lc_trt.cli.option_groups.quantization import Calibration, Quantization
from lc_trt.compiler.precision import Precision
from lc_trt.errors import UsageError
from lc_trt.quantization.options import QuantizationOptions


def test_int8_is_quantised_with_the_images_or_the_table() -> None:
    options = parsed(Quantization, "--calib", "photos").quantization_options(Precision.INT8)
    assert options == QuantizationOptions(Path("photos"), method="mse")
    words = [
        *("--calib", "t.json", "--method", "entropy", "--keep", "head1,,stage2/0"),
        *("--eval-root", "data", "--max-drop", "0", "--layout", "voc", "--split", "train"),
    ]
    assert parsed(Quantization, *words).quantization_options(Precision.INT8) == QuantizationOptions(
        Path("t.json"),
        method="entropy",
        keep=("head1", "stage2/0"),
        max_drop=0,  # not the default
        eval_root=Path("data"),
        layout="voc",
        split="train",
    )


def test_without_images_or_int8_nothing_is_quantised() -> None:
    assert parsed(Quantization).quantization_options(Precision.INT8) is None, (
        "the builder refuses it"
    )
    assert parsed(Quantization).quantization_options(None) is None
    assert parsed(Quantization, "--calib", "photos").quantization_options(Precision.FP16) is None


def test_fp16_looks_for_overflow_on_the_images() -> None:
    given = parsed(Quantization, "--calib", "photos")
    assert given.overflow_images(Precision.FP16) == Path("photos")
    assert given.overflow_images(Precision.INT8) is None
    assert parsed(Quantization).overflow_images(Precision.FP16) is None


@pytest.mark.parametrize(
    ("words", "precision", "message"),
    [
        (["--calib", "photos"], Precision.BF16, "--calib belongs to --int8 and --fp16"),
        (["--calib", "photos"], None, "--calib belongs to --int8 and --fp16"),
        (["--keep", "head1"], Precision.FP16, "belong to --int8"),
        (["--eval-root", "data"], None, "belong to --int8"),
        (["--max-drop", "0"], Precision.FP32, "belong to --int8"),
        (["--max-drop", "1"], Precision.INT8, "--max-drop needs --eval-root"),
    ],
)
def test_options_of_another_precision_are_refused(
    words: list[str], precision: Precision | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parsed(Quantization, *words).quantization_options(precision)


def test_calibration_covers_nearly_everything_by_default() -> None:
    assert parsed(Calibration) == Calibration(method="mse", percentile=99.99)
    words = ["--method", "percentile", "--percentile", "99.9"]
    assert parsed(Calibration, *words) == Calibration(method="percentile", percentile=99.9)
