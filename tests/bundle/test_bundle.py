"""Bundles: written whole, checked when read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_models import toy_bundle, toy_manifest, toy_model

from lc_trt.bundle.bundle import (
    FORMAT,
    MANIFEST,
    MODEL,
    PLAN,
    PLUGINS,
    SOURCE,
    Bundle,
    check_out,
    read_bundle,
    write_bundle,
)
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import PluginRecord, Profile, TensorRTBuild
from lc_trt.errors import LcTrtError
from lc_trt.utils.machine import Gpu


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return toy_bundle(tmp_path / "toy.lct").path


def edit(path: Path, **values: object) -> None:
    body = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**body, **values}))


def message(path: Path) -> str:
    with pytest.raises(LcTrtError) as caught:
        read_bundle(path)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text and "lc-trt build" in text
    return text


def test_what_is_written_is_read(path: Path) -> None:
    bundle = read_bundle(path)
    assert bundle.manifest == toy_manifest_of(path)
    assert bundle.file(MODEL).read_bytes() == toy_model()
    assert sorted(p.name for p in path.iterdir()) == sorted([MANIFEST, MODEL, SOURCE])
    with pytest.raises(LcTrtError, match=r"has no engine\.plan, only model\.onnx, source\.onnx"):
        bundle.file("engine.plan")


def toy_manifest_of(path: Path) -> Manifest:
    return Manifest.loads((path / MANIFEST).read_text())


def tensorrt_bundle(path: Path) -> Bundle:
    """Of a plan that nothing reads."""
    manifest = replace(
        toy_manifest(batch=2, backend="tensorrt"),
        precision="fp16",
        gpu=Gpu("some GPU", "8.9"),
        plugin=PluginRecord("lc_trt", "1", "0" * 64, PLUGINS),
        tensorrt=TensorRTBuild("tensorrt", "11.4", workspace_mib=64),
        batch_profile=Profile(1, 2, 4),
        size_profile=Profile((32, 32), (36, 60), (64, 64)),
    )
    return write_bundle(path, manifest, {PLAN: b"plan", SOURCE: b"source", PLUGINS: b"library"})


def test_a_bundle_of_tensorrt_is_read(tmp_path: Path) -> None:
    written = tensorrt_bundle(tmp_path / "t.lct")
    read = read_bundle(written.path)
    assert read.manifest == written.manifest
    assert read.file(PLAN) == written.path / PLAN and read.notes == ()
    edit(written.path, files={SOURCE: read.manifest.files[SOURCE], PLUGINS: "0" * 64})
    assert "liblc_trt_plugins.so was truncated or edited" in message(written.path)
    (written.path / PLUGINS).write_bytes(b"another")
    edit(written.path, files=dict(read.manifest.files))
    assert "liblc_trt_plugins.so was truncated or edited" in message(written.path)


def test_a_truncated_file_is_named(path: Path) -> None:
    content = (path / MODEL).read_bytes()
    (path / MODEL).write_bytes(content[: len(content) // 2])
    assert "model.onnx was truncated or edited" in message(path)


def test_an_edited_file_is_named(path: Path) -> None:
    content = bytearray((path / SOURCE).read_bytes())
    content[50] ^= 1
    (path / SOURCE).write_bytes(content)
    assert "source.onnx was truncated or edited" in message(path)


def test_a_missing_file_is_named(path: Path) -> None:
    (path / MODEL).unlink()
    assert "model.onnx is missing" in message(path)


def test_another_format_is_named(path: Path) -> None:
    edit(path, format=7, lc_trt_version="9.9")
    assert "format 7 (written by lc-trt 9.9)" in message(path)
    edit(path, format=FORMAT + 1)
    assert f"has format {FORMAT + 1}" in message(path)
    assert f"reads formats 1 to {FORMAT}" in message(path)


def test_a_field_that_makes_no_sense_is_named(path: Path) -> None:
    edit(path, size=[0, 10])
    assert f"{MANIFEST} has size[0] 0, expected a whole number of at least 1; " in message(path)


@pytest.mark.parametrize("text", ["", '{"format": 1', "\x00\x01", "[1, 2]", '{"name": "x"}'])
def test_a_manifest_that_is_none_is_named(path: Path, text: str) -> None:
    (path / MANIFEST).write_text(text)
    assert MANIFEST in message(path)


def test_a_manifest_that_is_not_text_is_named(path: Path) -> None:
    (path / MANIFEST).write_bytes(b"\xff\xfe\x00{")
    assert MANIFEST in message(path)


def test_a_manifest_without_the_model_is_named(path: Path) -> None:
    edit(path, files={SOURCE: toy_manifest_of(path).files[SOURCE]})
    with pytest.raises(LcTrtError, match=r"has no model\.onnx, only source\.onnx"):
        read_bundle(path).file(MODEL)


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    assert "no such bundle" in message(tmp_path / "none.lct")
    assert "not a bundle (no manifest.json in it)" in message(tmp_path)
    file = tmp_path / "model.onnx"
    file.write_bytes(toy_model())
    assert f"lc-trt build {file} -o {tmp_path / 'model.lct'}" in message(file)


def test_another_backend_version_is_only_noted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lc_trt.bundle.bundle.module_version", lambda _: "2.0")
    assert read_bundle(path).notes == ("built and checked with openvino 1.0, this machine has 2.0",)
    edit(path, backend_version="2.0")
    assert read_bundle(path).notes == ()


def test_a_bundle_is_replaced_also_from_its_own_files(path: Path) -> None:
    write_bundle(path, toy_manifest(batch=3), {MODEL: b"new", SOURCE: path / SOURCE})
    bundle = read_bundle(path)
    assert bundle.manifest.batch == 3
    assert bundle.file(MODEL).read_bytes() == b"new"
    assert bundle.file(SOURCE).read_bytes() == toy_model()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_broken_bundle_can_be_built_again(path: Path) -> None:
    (path / MANIFEST).write_text("{")
    assert toy_bundle(path).path == path
    read_bundle(path)


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path, path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"x")
    with pytest.raises(LcTrtError, match="is a folder, not a bundle"):
        toy_bundle(folder)
    with pytest.raises(LcTrtError, match="is a file, not a bundle"):
        toy_bundle(folder / "a.png")
    with pytest.raises(LcTrtError, match="already exists"):
        write_bundle(path, toy_manifest(), {}, overwrite=False)
    assert (folder / "a.png").read_bytes() == b"x"


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for attempt in (toy_bundle, check_out):
        with pytest.raises(LcTrtError, match="cannot be written"):
            attempt(tmp_path / "file" / "toy.lct")


def test_a_place_is_tried_without_a_trace(tmp_path: Path, path: Path) -> None:
    check_out(path)
    check_out(tmp_path / "new" / "a.lct")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", path.name]
    assert not list((tmp_path / "new").iterdir())
    read_bundle(path)
    (tmp_path / "new" / "b.lct").write_text("x")
    with pytest.raises(LcTrtError, match="is a file, not a bundle"):
        check_out(tmp_path / "new" / "b.lct")


def test_a_build_that_fails_leaves_the_old_bundle(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(LcTrtError, match="No space left"):
        write_bundle(path, toy_manifest(batch=3), {MODEL: b"new"})
    assert read_bundle(path).manifest.batch == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_rename_that_fails_puts_the_old_bundle_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(LcTrtError, match="Input/output error"):
        write_bundle(path, toy_manifest(batch=3), {MODEL: b"new"})
    assert read_bundle(path).manifest.batch == 1


def test_a_killed_build_leaves_nothing_that_loads(tmp_path: Path) -> None:
    out = tmp_path / "toy.lct"
    script = f"""
import os, signal
from pathlib import Path
import lc_trt.bundle.bundle as bundle
from toy_models import toy_manifest
put = bundle._put
def dying(path, content):
    if path.name == bundle.MANIFEST:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(path, content)
bundle._put = dying
bundle.write_bundle(Path({str(out)!r}), toy_manifest(), {{"model.onnx": b"x"}})
"""
    tests = Path(__file__).parents[1]
    search = os.pathsep.join([str(tests / "helpers"), str(tests.parent)])
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": search})
    assert done.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert out not in left and len(left) == 1
    message(left[0])
