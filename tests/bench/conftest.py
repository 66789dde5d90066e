"""A real cascade, small enough to build and bench in a second."""

from __future__ import annotations

from pathlib import Path

import pytest
from compilation import lowered
from narrow_peers import narrow_peers
from tiny_networks import INFO, tiny_model

from lc_trt.bundle.bundle import MODEL, SOURCE, Bundle, write_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense

__all__ = ["narrow_peers"]

SIZE = (48, 80)
RHO = (0.7, 0.6)
FAST = (0.5, 0.4)


def _bundle(out: Path, kind: str, source: Path, trained: dict[str, float] | None) -> Bundle:
    model = load_onnx(source)
    if kind == "dense":
        model = run_passes(model, [ToDense()])
    compiled = lowered(model, "openvino", SIZE, 1)
    manifest = Manifest(
        "openvino", "1.0", kind, INFO.name, "0" * 64, INFO.classes, INFO.colours, SIZE,
        default_rho=RHO if kind == "cascade" else None,
        fast_rho=FAST if kind == "cascade" else None,
        trained=trained,
    )  # fmt: skip
    files = {MODEL: compiled.SerializeToString(), SOURCE: model.SerializeToString()}
    return write_bundle(out, manifest, files)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exchange ONNX."""
    path = tmp_path_factory.mktemp("source") / "tiny.onnx"
    path.write_bytes(tiny_model().SerializeToString())
    return path


@pytest.fixture(scope="session")
def untrained(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A cascade without trained weights."""
    return _bundle(tmp_path_factory.mktemp("bench") / "untrained.lct", "cascade", source, None)


@pytest.fixture(scope="session")
def trained(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A cascade whose weights count as trained."""
    folder = tmp_path_factory.mktemp("bench")
    return _bundle(folder / "trained.lct", "cascade", source, {"val_miou": 0.5})


@pytest.fixture(scope="session")
def dense(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Its dense network."""
    return _bundle(tmp_path_factory.mktemp("bench") / "dense.lct", "dense", source, None)
