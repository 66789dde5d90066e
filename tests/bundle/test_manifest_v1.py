"""Bundles that lc-trt wrote before manifests had typed sections still load.

``data/format1/`` is what builds of format 1 wrote: a whole INT8 bundle of a network of three
convolutions, and the manifests of builds of other kinds.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_networks import frames

import lc_trt
from lc_trt.bundle.bundle import MANIFEST, read_bundle
from lc_trt.bundle.manifest import FORMAT, Manifest
from lc_trt.bundle.sections import (
    Agreement,
    Calibration,
    Check,
    Exclusion,
    Fp16Calibration,
    Int8Calibration,
    Miou,
    PluginRecord,
    Profile,
    ReuseInputs,
    Speed,
    SpeedRatios,
    TableSummary,
    TensorRTBuild,
)
from lc_trt.bundle.typed_json import JsonError
from lc_trt.cli.app import main
from lc_trt.errors import LcTrtError
from lc_trt.utils.machine import Gpu

DATA = Path(__file__).parent / "data" / "format1"
BUNDLE = DATA / "int8_bundle"
NO_GPU = "the build found no NVIDIA GPU to run it on"
PHOTOS = "photographs of scikit-image"
RESHAPED = ("calibration", "check", "reuse")


def old(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())


def table(name: str) -> TableSummary:
    """The facts of a table as format 1 had them, among other things, in ``calibration``."""
    found = old(name)["calibration"]
    names = TableSummary.__dataclass_fields__
    size, rho = tuple(found["size"]), tuple(found["rho"])
    return TableSummary(**{n: found[n] for n in names} | {"size": size, "rho": rho})


FP16 = Calibration(fp16=Fp16Calibration(PHOTOS, 4))
SECTIONS: dict[str, dict[str, Any]] = {
    "fp32": {
        "check": Check(
            None, "onnxruntime", "imgs", Agreement(12, 1, 1, 2.980232238769531e-07, 1, 1), 0.99
        ),
    },
    "reuse": {
        "check": Check(
            None, "openvino", "imgs", Agreement(12, 1, 1, 4.172325134277344e-07, 1, 1), 0.99
        ),
        "reuse": ReuseInputs(
            {
                "past_features": (1, 8, 8, 8),
                "past_probabilities": (1, 5, 8, 8),
                "past_stages": (1, 8, 8),
                "reuse": (2,),
            }
        ),
    },
    "int8_labelled": {
        "calibration": Calibration(
            Int8Calibration(
                table("int8_labelled"),
                "fp32",
                tuple(
                    Exclusion((layer,), "without it mIoU drops by 2.00 points, over 1")
                    for layer in ("stage2/1", "head2/0")
                ),
                (
                    "head2/0/conv",
                    *(f"stage2/1/branch0/{i}/conv" for i in range(3)),
                    *(f"stage2/1/branch1/{i}/conv" for i in range(2)),
                    *(f"stage2/1/branch2/{i}/conv" for i in range(2)),
                ),
            )
        ),
        "check": Check(
            None,
            "onnxruntime",
            PHOTOS,
            Agreement(
                *(32, 0.8217592592592593, 0.9259259259259259, 0.4763104319572449),
                *(0.9357367621527779, 0.9866898148148148),
            ),
            None,
            Miou(0.8, 0.8, 0.0),
            Speed(SpeedRatios(1.137, 0.182), SpeedRatios(10.438, 1.267)),
        ),
    },
    "tensorrt_fp16": {
        "gpu": Gpu("Fake 1", "8.9"),
        "tensorrt": TensorRTBuild("tensorrt", "11.4.0.106"),
        "calibration": FP16,
        "check": Check(None, "tensorrt", PHOTOS, Agreement(4, 1, 1, 0, 1, 1), 0.99),
    },
    "tensorrt_int8_fp16": {
        "gpu": Gpu("Some Ada", "8.9"),
        "plugin": PluginRecord(
            *("lc_trt", "1"),
            "d0bb5ff851eb7b2a9675828d49a2dcc4f5a534d2e28b0827eaba32938e33a862",
            "liblc_trt_plugins.so",
        ),
        "tensorrt": TensorRTBuild("tensorrt", "11.4.0"),
        "calibration": Calibration(
            Int8Calibration(
                table("tensorrt_int8_fp16"),
                "fp16",
                (Exclusion(("stage1/1", "stage1/2"), "asked for with --keep"),),
                ("stage1/1/conv", "stage1/2/conv"),
            ),
            Fp16Calibration(
                PHOTOS,
                4,
                tuple(
                    Exclusion((name,), "reaches 833482 on the images, FP16 ends at 65504")
                    for name in ("stage1/1/conv", "stage1/1/relu")
                ),
            ),
        ),
        "check": Check("not compared with another engine"),
    },
    "tensorrt_int8_unchecked": {
        "tensorrt": TensorRTBuild("tensorrt_rtx", "1.7.1.116", ("8.6", "12.0")),
        "calibration": Calibration(Int8Calibration(table("tensorrt_int8_unchecked"), "fp32")),
        "check": Check(
            NO_GPU,
            "onnxruntime",
            PHOTOS,
            Agreement(
                *(32, 0.9291178385416666, 0.9479166666666666, 0.3685183525085449),
                *(0.9703369140625, 0.9873046875),
            ),
            0.95,
        ),
    },
    "tensorrt_profiles": {
        "batch_profile": Profile(1, 2, 4),
        "size_profile": Profile((32, 48), (48, 72), (64, 96)),
        "tensorrt": TensorRTBuild(
            "tensorrt_rtx", "1.7.1.116", ("8.0", "8.6", "8.9", "12.0"), 64, 1
        ),
        "calibration": FP16,
        "check": Check(NO_GPU),
    },
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_manifest_of_format_1_says_what_it_said(name: str) -> None:
    manifest = Manifest.loads((DATA / f"{name}.json").read_text())
    for section, expected in {"calibration": None, "reuse": None, **SECTIONS[name]}.items():
        assert getattr(manifest, section) == expected, section
    # All else is as it was; the format is today's once it is written again.
    before, after = old(name), json.loads(manifest.dumps())
    assert after.pop("format") == FORMAT != before.pop("format")
    for field in set(before) - set(RESHAPED):
        assert after[field] == before[field], field


def test_a_bundle_of_format_1_runs() -> None:
    bundle = read_bundle(BUNDLE)
    int8 = bundle.manifest.calibration and bundle.manifest.calibration.int8
    assert int8 and (int8.table.images, int8.excluded_convolutions) == (3, ("stage3/0/conv",))
    with lc_trt.load(BUNDLE, threads=1) as segmenter:
        result = segmenter(frames(4, (64, 64))[0])
    # The shares that the lc-trt that built it printed for this frame.
    assert result.shares == pytest.approx((0.328125, 0.609375, 0.0625), abs=0.05)
    assert bundle.manifest.check.summary == (
        "agrees with ONNX Runtime on 94.02% of labels, 92.19% of stages (32 passes, imgs)"
    )


def test_inspect_shows_a_bundle_of_format_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(BUNDLE)]) == 0
    assert "94.02% of labels" in capsys.readouterr().out
    assert main(["inspect", str(BUNDLE), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)["manifest"]
    assert manifest["format"] == FORMAT
    assert manifest["check"]["speed"]["over_dense"] == {"default": 0.724, "fast": 0.648}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration": {}}, "has an invalid calibration for format 1 (lacks 'kept')"),
        ({"calibration": 5}, "has an invalid calibration for format 1 ("),
        ({"calibration": {"kept": [{}], "keep": []}}, "for format 1 (lacks 'layers')"),
        ({"check": {}}, "has an invalid check for format 1 (lacks 'checked')"),
        ({"check": {"checked": True, "images": "x"}}, "has an invalid check for format 1 (lacks"),
        ({"check": None}, "has an invalid check for format 1 ("),
        ({"reuse": []}, "has reuse.inputs [], expected an object"),
        ({"size": [0, 64]}, "has size[0] 0, expected a whole number of at least 1"),
    ],
)
def test_one_that_cannot_be_used_is_refused_in_a_line(
    changes: dict[str, Any], message: str
) -> None:
    body = json.loads((BUNDLE / MANIFEST).read_text())
    with pytest.raises(JsonError) as caught:
        Manifest.loads(json.dumps(body | changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [f for f in old("fp32") if f != "format"])
def test_every_field_of_format_1_has_to_be_there(name: str) -> None:
    body = json.loads((BUNDLE / MANIFEST).read_text())
    with pytest.raises(JsonError, match=f"lacks '{name}'"):
        Manifest.loads(json.dumps({k: v for k, v in body.items() if k != name}))


def test_the_files_of_format_1_are_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "m.lct"
    shutil.copytree(BUNDLE, path)
    (path / "calibration.json").write_text("{}")
    with pytest.raises(LcTrtError, match=r"calibration\.json was truncated or edited"):
        lc_trt.load(path)
