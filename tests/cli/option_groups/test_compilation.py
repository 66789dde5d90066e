"""What an engine is compiled for, from options."""

from __future__ import annotations

from pathlib import Path

import pytest

from lc_trt.builder.verify import VerifyOptions
from lc_trt.bundle.sections import Profile
from lc_trt.cli.option_groups.compilation import Engine, Shape, TensorRT, Verification
from lc_trt.errors import UsageError
from lc_trt.trt.options import PlanOptions


def test_int8_takes_a_precision_for_the_rest() -> None:
    assert (Engine().precision(), Engine().fallback_precision()) == (None, None)
    half = Engine(fp16=True)
    assert (half.precision(), half.fallback_precision()) == ("fp16", None)
    mixed = Engine(int8=True, bf16=True)
    assert (mixed.precision(), mixed.fallback_precision()) == ("int8", "bf16")
    with pytest.raises(UsageError, match="--fp16 and --bf16: expected one precision"):
        Engine(fp16=True, bf16=True).precision()


def test_shapes_are_one_value_or_a_profile() -> None:
    assert (Shape().size_profile(), Shape().batch_profile()) == (None, 1)
    one = Shape(size="300x500", batch=2)
    assert (one.size_profile(), one.batch_profile()) == (Profile.of((300, 500)), Profile.of(2))
    varied = Shape(
        min_batch=1,
        opt_batch=4,
        max_batch=8,
        min_size="64x64",
        opt_size="96x128",
        max_size="128x256",
    )
    assert varied.batch_profile() == Profile(1, 4, 8)
    assert varied.size_profile() == Profile((64, 64), (96, 128), (128, 256))
    with pytest.raises(UsageError, match="--min-size 'big': expected HxW"):
        Shape(min_size="big").size_profile()
    with pytest.raises(UsageError, match="--batch fixes what"):
        Shape(batch=1, max_batch=2).batch_profile()
    assert Shape(batch=0).batch_profile() == Profile.of(0), "0 is refused, not taken for none"


def test_options_of_tensorrt() -> None:
    assert TensorRT().plan_options() == PlanOptions()
    options = TensorRT(
        workspace=64,
        opt_level=0,
        timing_cache=Path("times"),
        version_compatible=True,
        hardware_compatible=True,
        compute_capability="8.6,sm_89",
        plugin=Path("p.so"),
        save_layers=Path("l.json"),
    )
    assert options.plan_options() == PlanOptions(
        64, 0, Path("times"), True, True, ("8.6", "8.9"), Path("l.json"), Path("p.so")
    )


def test_the_check_takes_percent() -> None:
    assert Verification().verify_options() == VerifyOptions()
    strict = Verification(Path("photos"), 99.5, no_check=True)
    assert strict.verify_options() == VerifyOptions(Path("photos"), 0.995, must_agree=False)
