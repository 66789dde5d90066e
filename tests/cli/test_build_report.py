"""The result of a build in words."""

from __future__ import annotations

from dataclasses import replace

from toy_models import toy_manifest

from lc_trt.bundle.sections import Agreement, Check, Miou
from lc_trt.cli.build_report import describe

AGREEMENT = Agreement(
    count=8, labels=0.981, stages=0.975, confidence=0.1, mean_labels=0.9912, mean_stages=0.9876
)
CHECKED = Check(run_by="openvino", images="4 photographs", agreement=AGREEMENT)


def test_what_was_built_and_how_it_agrees() -> None:
    assert describe("a.lct", replace(toy_manifest(), check=CHECKED)).splitlines() == [
        "a.lct: cascade toy, 60 wide x 36 high, batch 1, openvino 1.0, fp32",
        "agrees with ONNX Runtime on 98.10% of labels, 97.50% of stages (8 passes, 4 photographs)",
    ]


def test_tensorrt_is_called_by_its_package() -> None:
    manifest = toy_manifest(backend="tensorrt", batch=2)
    assert "batch 2, tensorrt 1.0, fp32" in describe("a.lct", manifest)
    assert manifest.tensorrt is not None
    rtx = replace(manifest, tensorrt=replace(manifest.tensorrt, package="tensorrt_rtx"))
    assert "tensorrt_rtx 1.0" in describe("a.lct", rtx)


def test_reduced_precision_shows_its_cost() -> None:
    check = replace(CHECKED, miou=Miou(fp32=0.7012, int8=0.6934, drop=0.78))
    lines = describe("a.lct", replace(toy_manifest(), precision="int8", check=check)).splitlines()
    assert lines[1:3] == [
        "mIoU 69.34%, FP32 70.12%: 0.78 points",
        "equal to FP32: 99.12% of labels, 98.76% of stages on average",
    ]
    assert len(lines) == 4
    skipped = Check(skip_reason="the build found no NVIDIA GPU")
    lines = describe("a.lct", replace(toy_manifest(), precision="fp16", check=skipped)).splitlines()
    assert lines[1:] == ["not checked: the build found no NVIDIA GPU"]
