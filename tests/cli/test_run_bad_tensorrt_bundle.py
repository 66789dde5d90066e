"""Bundles of TensorRT that cannot be used: one line, exit code 1, and nothing half-written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from fake_backends import FakeToolchain
from fake_gpu import driver, toolchain, trt
from fake_library import library_bytes
from fake_tensorrt import FakeTensorRT, fake_manifest, fake_plan
from toy_models import bgr

from lc_trt.bundle.bundle import MANIFEST, PLAN, PLUGINS, SOURCE, write_bundle
from lc_trt.bundle.sections import PluginRecord
from lc_trt.cli.app import main
from lc_trt.utils.machine import Gpu

__all__ = ["driver", "toolchain", "trt"]
REBUILD = "lc-trt build MODEL.onnx"


def edit(path: Path, **changes: Any) -> None:
    """Change what a manifest says."""
    body = json.loads((path / MANIFEST).read_text())
    for name, value in changes.items():
        body[name] = {**body[name], **value} if isinstance(value, dict) else value
    (path / MANIFEST).write_text(json.dumps(body))


def put(path: Path, name: str, content: bytes) -> None:
    """Replace a file and the manifest's hash of it, as somebody does who means it."""
    (path / name).write_bytes(content)
    edit(path, files={name: hashlib.sha256(content).hexdigest()})


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "another TensorRT": (
        lambda path: edit(path, tensorrt={"version": "10.13.0.35"}),
        "built with tensorrt 10.13.0.35 and needs exactly that version, this machine has 11.4.0",
    ),
    "another GPU": (
        lambda path: edit(path, gpu={"name": "Other", "compute_capability": "9.0"}),
        "built for compute capability 9.0 (Other), cuda:0 is Fake 1 with 8.9",
    ),
    "a plugin of another version": (
        lambda path: put(path, PLUGINS, library_bytes(2)),
        "has plugins of version 2, this lc-trt needs version 1, nothing was loaded",
    ),
    "another plugin": (
        lambda path: put(path, PLUGINS, library_bytes(1) + b"more"),
        "is not the plugin library of this bundle (SHA-256",
    ),
    "no plugin of ours": (
        lambda path: put(path, PLUGINS, b"\x7fELF another"),
        "is no plugin library of lc-trt",
    ),
    "no plugin": (lambda path: (path / PLUGINS).unlink(), f"{PLUGINS} is missing"),
    "an edited plugin": (
        lambda path: (path / PLUGINS).write_bytes(library_bytes(1) + b"more"),
        f"{PLUGINS} was truncated or edited since the build (SHA-256",
    ),
    "a truncated plan": (
        lambda path: (path / PLAN).write_bytes(fake_plan()[:8]),
        f"{PLAN} was truncated or edited since the build (SHA-256",
    ),
    "random bytes": (
        lambda path: put(path, PLAN, bytes(range(256))),
        "cannot load it on Fake 1, build it again here",
    ),
    "no plan": (lambda path: (path / PLAN).unlink(), f"{PLAN} is missing"),
    "a later format": (lambda path: edit(path, format=9), f"{MANIFEST} has format 9"),
    "half a manifest": (
        lambda path: (path / MANIFEST).write_text((path / MANIFEST).read_text()[:99]),
        f"{MANIFEST} is not JSON",
    ),
    "no manifest": (lambda path: (path / MANIFEST).unlink(), "not a bundle (no manifest.json"),
    "a path out of it": (
        lambda path: edit(path, plugin={"file": "../library.so"}),
        f'{MANIFEST} has plugin.file "../library.so", expected a file name without a path',
    ),
}


@pytest.fixture
def here(tmp_path: Path, toolchain: FakeToolchain, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a bundle for the fake GPU and an image."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", bgr(255, 0, 200))
    Path("library.so").write_bytes(library_bytes())
    digest = hashlib.sha256(library_bytes()).hexdigest()
    manifest = replace(
        fake_manifest(gpu=Gpu("Fake 1", "8.9")),
        plugin=PluginRecord("lc_trt", "1", digest, PLUGINS),
    )
    files = {PLAN: fake_plan(), SOURCE: b"source", PLUGINS: library_bytes()}
    write_bundle(Path("m.lct"), manifest, files)
    return tmp_path


def test_it_runs_as_it_was_built(here: Path, trt: FakeTensorRT) -> None:
    assert main(["run", "m.lct", "-s", "a.png", "-o", "out.png"]) == 0
    assert trt.loaded == [str(here / "m.lct" / PLUGINS)]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bundle_is_one_line(
    here: Path, trt: FakeTensorRT, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    spoil, said = BAD[name]
    spoil(Path("m.lct"))
    before = sorted(here.rglob("*"))
    for words in (["run", "m.lct", "-s", "a.png", "-o", "out.png"], ["bench", "m.lct"]):
        assert main(words) == 1
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("error: ")
        assert said in err and "Traceback" not in err
        assert REBUILD in err or "lc-trt plugin build" in err
    assert sorted(here.rglob("*")) == before
    if "plugin" in name:
        assert trt.loaded == []  # no code of a library that is not the bundle's
