"""What the sections of a manifest say of themselves."""

from __future__ import annotations

from lc_trt.bundle.sections import Agreement, Check, Exclusion, Fp16Calibration, Profile

AGREEMENT = Agreement(8, labels=0.999, stages=1.0, confidence=0.0)


def test_the_check_in_words() -> None:
    shares = "99.90% of labels, 100.00% of stages (8 passes, photographs)"
    assert Check(skip_reason="no GPU").summary == "not checked: no GPU"
    checked = Check(run_by="openvino", images="photographs", agreement=AGREEMENT)
    assert checked.checked and checked.summary == f"agrees with ONNX Runtime on {shares}"
    network = Check("no GPU", "onnxruntime", "photographs", AGREEMENT)
    assert not network.checked and network.summary == (
        f"not checked: no GPU; its network, run by ONNX Runtime, agrees with FP32 on {shares}"
    )


def test_tensors_that_fp16_cannot_hold_are_those_of_all_entries() -> None:
    entries = tuple(Exclusion((name,), "too large") for name in "ab")
    assert Fp16Calibration("images", 1, entries).tensors == ("a", "b")
    assert Fp16Calibration("images", 1).tensors == ()


def test_a_profile_of_one_value_is_fixed() -> None:
    assert Profile.of(4) == Profile(4, 4, 4) and Profile.of((2, 3)).fixed == (2, 3)
    assert Profile(1, 4, 8).fixed is None
