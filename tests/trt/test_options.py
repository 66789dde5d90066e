"""Plan options: profiles as in trtexec, and options that a package lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.bundle.sections import Profile
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.trt.api import RTX_DEFAULT, TensorRT
from lc_trt.trt.options import PlanOptions, check_options, make_profile, targets
from lc_trt.utils.machine import Gpu

ADA = Gpu("Some Ada", "8.9")
TURING = Gpu("Some Turing", "7.5")
HOPPER = Gpu("Some Hopper", "9.0")


def api(package: str) -> TensorRT:
    names = ("NONE", "CURRENT", "SM75", "SM80", "SM86", "SM89", "SM120")
    module = SimpleNamespace(ComputeCapability=SimpleNamespace(__members__={n: n for n in names}))
    return TensorRT(package, "1.0", module, None, [])


RTX, TRT = api("tensorrt_rtx"), api("tensorrt")


@given(values=st.lists(st.integers(1, 99), min_size=3, max_size=3))
def test_three_values_are_a_profile(values: list[int]) -> None:
    least, optimum, most = values
    if least <= optimum <= most:
        profile = make_profile("batch", None, least, optimum, most)
        assert profile == Profile(least, optimum, most)
        assert profile.fixed == (optimum if least == most else None)
    else:
        with pytest.raises(UsageError, match="expected them to ascend"):
            make_profile("batch", None, least, optimum, most)


def test_one_value_is_fixed() -> None:
    assert make_profile("batch", None, None, 4, None) == Profile(4, 4, 4)
    assert make_profile("batch", 4, None, None, None) == Profile(4, 4, 4)
    assert Profile(4, 4, 4).fixed == 4 and Profile(1, 4, 8).fixed is None
    assert make_profile("batch", None, None, None, None) is None


def test_sizes_ascend_on_both_sides() -> None:
    sizes = (32, 64), (64, 64), (64, 96)
    assert make_profile("size", None, *sizes) == Profile(*sizes)
    with pytest.raises(UsageError, match="expected them to ascend"):
        make_profile("size", None, (32, 64), (64, 32), (64, 96))


@pytest.mark.parametrize("given", [(1, None, None), (None, None, 8), (1, None, 8), (1, 2, None)])
def test_an_incomplete_profile_is_refused(given: tuple[int | None, ...]) -> None:
    with pytest.raises(UsageError, match="give all of --min-batch, --opt-batch and --max-batch"):
        make_profile("batch", None, *given)


def test_a_fixed_value_and_a_profile_are_refused() -> None:
    with pytest.raises(UsageError, match="--batch fixes what --min-batch"):
        make_profile("batch", 2, None, 4, None)


@pytest.mark.parametrize(
    ("package", "options", "gpu", "error", "message"),
    [
        ("rtx", {"timing_cache": Path("t")}, None, UsageError, "--timing-cache: TensorRT for RTX"),
        ("rtx", {"hardware_compatible": True}, ADA, UsageError, "--hardware-compatible: TensorRT"),
        ("rtx", {"version_compatible": True}, ADA, UsageError, "--version-compatible: TensorRT"),
        ("rtx", {"compute_capabilities": ("9.0",)}, None, UsageError, "builds for 7.5, 8.0, 8.6"),
        ("rtx", {"save_layers": Path("l")}, None, UsageError, "--save-layers: .* needs a GPU"),
        ("trt", {"compute_capabilities": ("8.9",)}, ADA, UsageError, "builds for the GPU at hand"),
        ("trt", {}, None, LcTrtError, "builds on a GPU only, and there is none here"),
        ("trt", {"workspace": 0}, ADA, UsageError, "--workspace 0: expected at least 1 MiB"),
        ("trt", {"opt_level": 6}, ADA, UsageError, "--opt-level 6: expected 0 to 5"),
    ],
)
def test_unsupported_options_are_refused(
    package: str,
    options: dict[str, Any],
    gpu: Gpu | None,
    error: type[LcTrtError],
    message: str,
) -> None:
    with pytest.raises(error, match=message) as caught:
        check_options(PlanOptions(**options), {"rtx": RTX, "trt": TRT}[package], gpu)
    assert type(caught.value) is error and "\n" not in str(caught.value)


def test_tensorrt_with_a_gpu_takes_all_options() -> None:
    everything = PlanOptions(
        workspace=64,
        opt_level=5,
        timing_cache=Path("t"),
        version_compatible=True,
        hardware_compatible=True,
        save_layers=Path("l"),
    )
    check_options(everything, TRT, ADA)
    for_rtx = replace(
        everything, timing_cache=None, version_compatible=False, hardware_compatible=False
    )
    check_options(replace(for_rtx, compute_capabilities=("7.5", "12.0")), RTX, ADA)


def test_the_gpus_that_an_engine_is_for() -> None:
    options = PlanOptions()
    assert targets(options, TRT, ADA) == ()
    assert targets(options, RTX, None) == RTX_DEFAULT
    assert targets(options, RTX, ADA) == RTX_DEFAULT
    assert targets(options, RTX, TURING) == ("7.5",)
    assert targets(options, RTX, HOPPER) == RTX_DEFAULT
    asked = PlanOptions(compute_capabilities=("8.6",))
    assert targets(asked, RTX, TURING) == ("8.6",)
    assert asked.given() == ["--compute-capability"]
    assert PlanOptions(opt_level=0).given() == ["--opt-level"]
