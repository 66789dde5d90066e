"""`lc-trt export`, `build` and `inspect`, one after the other as a person types them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from tiny_networks import tiny_model
from tiny_training import TINY

from lc_trt.cli import app
from lc_trt.cli import option_values as options
from lc_trt.errors import UsageError
from lc_trt.ir.metadata import read_info
from lc_trt.model import presets
from lc_trt.training.checkpoint import save_weights


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    assert app.main(["export", "--preset", "tiny", "--classes", "3", "-o", str(path)]) == 0
    return path


def failure(capsys, *arguments):
    """Exit code and the one line on stderr."""
    code = app.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1, captured.err
    return code, captured.err


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


def test_a_checkpoint_brings_its_network_and_classes(tmp_path, capsys):
    torch.manual_seed(3)
    trained = presets.build_cascade("tiny", 3)
    weights = tmp_path / "w.safetensors"
    facts = {
        "preset": "tiny", "heads": "plain", "classes": "3", "val_miou": 0.5,
        "config": {"data": {"root": "somewhere"}, "imagenet": "w.pth", "batch": 2},
    }  # fmt: skip
    save_weights(weights, trained, facts)
    path = tmp_path / "m.onnx"
    assert app.main(["export", "--checkpoint", str(weights), "-o", str(path)]) == 0
    assert "trained" in capsys.readouterr().out
    written = onnx.load(path)
    info = read_info(written)
    assert info.trained["val_miou"] == 0.5 and info.trained["config"] == {"data": {}, "batch": 2}
    exported = {t.name: onnx.numpy_helper.to_array(t) for t in written.graph.initializer}
    first = trained.stages[0][0].conv.weight.detach().numpy()
    assert np.array_equal(exported["stage1/0/weight"], first)
    assert app.main(["export", "--checkpoint", str(weights), "--half", "-o", str(path)]) == 0
    assert app.main(["inspect", str(path)]) == 0


def test_dense_exports(tmp_path, capsys):
    for arguments in (["--preset", "tiny", "--dense"], ["--preset", "vgg16"]):
        path = tmp_path / "d.onnx"
        assert app.main(["export", *arguments, "--classes", "2", "-o", str(path)]) == 0
        assert read_info(onnx.load(path)).kind == "dense"


def test_export_refuses_what_it_cannot_do(tmp_path, capsys):
    out = tmp_path / "m.onnx"
    cases = [
        (["--preset", "nothing"], 2, "unknown preset 'nothing'"),
        ([], 2, "no network: give --preset"),
        (["--preset", "tiny", "--size", "big"], 2, "--size 'big': expected HxW"),
        (["--preset", "tiny", "--rho", "2"], 2, "--rho"),
        (["--preset", "tiny", "--heads", "round"], 2, "head form 'round'"),
        (["--checkpoint", str(tmp_path / "no.safetensors")], 1, "no such file"),
    ]
    for arguments, expected, message in cases:
        code, line = failure(capsys, "export", *arguments, "-o", out)
        assert (code, message in line) == (expected, True), line
    assert not out.exists()


def test_an_unwritable_output_is_named(tmp_path, model, capsys):
    capsys.readouterr()
    (tmp_path / "file").write_text("in the way")
    for command in (
        ["export", "--preset", "tiny", "--classes", "3", "-o", tmp_path / "file" / "m.onnx"],
        ["build", model, "--size", "64x96", "-o", tmp_path / "file" / "m.lct"],
    ):
        code, line = failure(capsys, *command)
        assert code == 1 and "cannot be written" in line


def test_build_refuses_what_it_cannot_build(tmp_path, model, capsys):
    capsys.readouterr()
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
        ([other], 1, "no segmentation network"),
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


def test_a_missing_backend_names_the_command_that_installs_it(model, tmp_path, capsys, monkeypatch):
    capsys.readouterr()
    monkeypatch.setattr("lc_trt.runtime.engines.available", lambda: ["onnxruntime"])
    code, line = failure(capsys, "build", model, "--backend", "openvino", "-o", tmp_path / "m.lct")
    assert code == 1 and "pip install openvino" in line


def test_inspect_shows_any_onnx_and_refuses_the_rest(tmp_path, capsys):
    path = tmp_path / "tiny.onnx"
    onnx.save(tiny_model(), path)
    assert app.main(["inspect", str(path), "--size", "64x64"]) == 0
    assert "GMAC at 64x64" in capsys.readouterr().out
    path.write_bytes(b"zzz")
    code, line = failure(capsys, "inspect", path)
    assert code == 1 and "ONNX" in line


def test_compute_capabilities_are_read_in_every_spelling():
    read = options.capabilities
    assert read("--c", "8.9") == read("--c", "sm_89") == read("--c", "SM89") == ("8.9",)
    assert read("--c", "8.0, 12.0,8.0") == ("8.0", "12.0")
    for text in ("", "89", "8", "8.9,", "8.9.1", "x"):
        with pytest.raises(UsageError, match=r"--c .*: expected numbers, as in 8\.6,8\.9"):
            read("--c", text)
