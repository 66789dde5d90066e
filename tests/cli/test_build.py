"""`lc-trt build`, after `export` and before `inspect`, as a person types them."""

from __future__ import annotations

import json
import re

import onnx
from failing_commands import failure
from fake_backends import WrappedBackend
from onnx import helper

from lc_trt.backends.registry import registered
from lc_trt.cli import app


def test_export_build_inspect(tmp_path, model, capsys):
    bundle = tmp_path / "m.lct"
    build = ["build", str(model), "-o", str(bundle), "--size", "64x96", "--rho", "0.9,0.8"]
    assert app.main(build) == 0
    shown = capsys.readouterr().out
    assert "agrees with ONNX Runtime on" in shown and "equal to FP32" not in shown
    assert app.main(["inspect", str(bundle)]) == 0
    shown = capsys.readouterr().out
    for word in ("cascade", "(0.9, 0.8)", "RegionConv", "stage3", "GMAC at 64x96", "image uint8"):
        assert word in shown
    assert app.main(["inspect", str(bundle), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["kind"] == "cascade" and body["manifest"]["size"] == [64, 96]
    assert body["operators"]["stage2"]["RegionSelect"] == 1
    assert app.main(["build", str(model), "-o", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == [300, 500]


def test_the_bundle_stands_beside_the_model_by_default(model, capsys):
    assert app.main(["build", str(model), "--size", "64x96"]) == 0
    assert (model.parent / "model.lct" / "manifest.json").is_file()


def test_an_unwritable_output_is_named(tmp_path, model, capsys):
    (tmp_path / "file").write_text("in the way")
    for command in (
        ["export", "--preset", "tiny", "--classes", "3", "-o", tmp_path / "file" / "m.onnx"],
        ["build", model, "--size", "64x96", "-o", tmp_path / "file" / "m.lct"],
    ):
        code, line = failure(capsys, *command)
        assert code == 1 and "cannot be written" in line


def test_build_refuses_what_it_cannot_build(tmp_path, model, capsys):
    text = tmp_path / "text.onnx"
    text.write_text("not a model at all")
    x = helper.make_tensor_value_info("x", 1, ["n", 4])
    y = helper.make_tensor_value_info("y", 1, ["n", 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    other = tmp_path / "other.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), other
    )
    cases = [
        ([tmp_path / "no.onnx"], 1, "no such file"),
        ([text], 1, "ONNX"),
        ([other], 1, "not a segmentation network"),
        ([model, "--backend", "tpu"], 2, "unknown backend 'tpu'"),
        ([model, "--size", "0x5"], 2, "--size '0x5'"),
        ([model, "--batch", "0"], 2, "batch 0"),
        ([model, "--rho", "1.5"], 2, "--rho"),
        ([model, "--mean", "1,2"], 2, "expected three numbers"),
        ([model, "--mean", "1,2,3"], 2, "normalises inside its graph"),
        ([model, "--classes", "voc"], 2, "has 3 classes, --classes voc has 21"),
        ([model, "--check-images", tmp_path / "none"], 1, "none"),
    ]
    for arguments, expected, message in cases:
        out = tmp_path / "m.lct"
        code, line = failure(capsys, "build", *arguments, "-o", out)
        assert (code, message in line) == (expected, True), line
        assert not out.exists()


def test_a_missing_backend_names_the_command_that_installs_it(model, tmp_path, capsys):
    command = ("build", model, "--backend", "openvino", "-o", tmp_path / "m.lct")
    with registered(WrappedBackend("openvino", installed=False)):
        code, line = failure(capsys, *command)
    assert code == 1 and "pip install openvino" in line


def test_verbose_shows_what_passes_did_and_why_a_node_stays(model, tmp_path, capsys):
    build = ["build", str(model), "--size", "64x96", "--batch", "2", "--backend", "openvino"]
    assert app.main([*build, "-o", str(tmp_path / "quiet.lct")]) == 0
    assert "fold_batch_norm" not in capsys.readouterr().err
    assert app.main([*build, "-o", str(tmp_path / "m.lct"), "--verbose"]) == 0
    shown = capsys.readouterr().err
    assert re.search(r"^fold_batch_norm: [1-9]\d* rewritten, \d+ skipped, \d+ ms$", shown, re.M)
    reason = "skipped: 'output/resize' before it has a batch of 2, not 1"
    assert f"upsampled_argmax: node 'output/argmax' (ArgMax) {reason}" in shown
