"""The values that options take as text."""

from __future__ import annotations

import pytest

from lc_trt.cli import option_values
from lc_trt.errors import UsageError


def test_compute_capabilities_are_read_in_every_spelling():
    read = option_values.capabilities
    assert read("--c", "8.9") == read("--c", "sm_89") == read("--c", "SM89") == ("8.9",)
    assert read("--c", "8.0, 12.0,8.0") == ("8.0", "12.0")
    for text in ("", "89", "8", "8.9,", "8.9.1", "x"):
        with pytest.raises(UsageError, match=r"--c .*: expected numbers, as in 8\.6,8\.9"):
            read("--c", text)


def test_sizes_have_the_height_first_and_those_of_ffmpeg_the_width() -> None:
    assert option_values.size("--size", " 300X500 ") == (300, 500)
    assert option_values.width_height("--raw", "640x480") == (480, 640)
    for read, example in ((option_values.size, "HxW"), (option_values.width_height, "WxH")):
        for text in ("", "300", "0x5", "-3x5", "3x5x7", "3,5"):
            with pytest.raises(UsageError, match=rf"--s '{text}': expected {example}"):
                read("--s", text)


def test_numbers_are_finite_and_as_many_as_expected() -> None:
    assert option_values.three("--mean", "1,2.5,-3") == (1, 2.5, -3)
    assert option_values.thresholds("--rho", "0.9") == (0.9, 0.9)
    assert option_values.thresholds("--rho", "0.9,1") == (0.9, 1)
    for text in ("", "1,2", "1,2,3,4", "1,2,x", "1,2,nan", "1,,2"):
        with pytest.raises(UsageError, match="--mean"):
            option_values.three("--mean", text)
    for text in ("2", "-0.1", "nan", "0.1,0.2,0.3"):
        with pytest.raises(UsageError, match="--rho"):
            option_values.thresholds("--rho", text)


def test_of_flags_that_exclude_each_other_one_is_given() -> None:
    assert option_values.one_of("precision", fp32=False, fp16=True) == "fp16"
    assert option_values.one_of("precision", fp32=False) is None
    with pytest.raises(UsageError, match="--fp32 and --fp16: expected one precision"):
        option_values.one_of("precision", fp32=True, fp16=True)
