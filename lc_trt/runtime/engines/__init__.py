"""The engines a bundle can run on, by name. Importing this imports none of them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.engines.base import Engine, EngineOutput

__all__ = [
    "BACKENDS",
    "Engine",
    "EngineOutput",
    "available",
    "create_engine",
    "resolve_backend",
]

# In order of preference. Each is a module here whose `create(model, threads, precision)` makes its
# engine, and the name of the Python package it needs.
BACKENDS = ("openvino", "onnxruntime")


def available() -> list[str]:
    """The backends installed here, best first; looks them up without importing them."""
    return [name for name in BACKENDS if find_spec(name) is not None]


def resolve_backend(backend: str) -> str:
    """An installed backend's name; ``auto`` is the best one that is installed.

    Raises:
        UsageError: there is no such backend.
        LcTrtError: it is not installed; names the command that installs it.
    """
    if backend == "auto":
        found = available()
        if not found:
            raise LcTrtError("no backend is installed; install one: pip install openvino")
        return found[0]
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}: expected auto, {' or '.join(BACKENDS)}")
    if backend not in available():
        raise LcTrtError(f"backend {backend} is not installed; install it: pip install {backend}")
    return backend


def create_engine(
    backend: str, model: Path | bytes, *, threads: int | None = None, precision: str = "fp32"
) -> Engine:
    """Load a compiled ``model.onnx`` into a backend.

    Args:
        backend: a name of `BACKENDS`, or ``auto``.
        model: the ONNX file, or its content.
        threads: CPU threads, all by default.
        precision: what the bundle was built for (`Manifest.precision`); ``int8`` is in the model
            itself, ``bf16`` and ``fp16`` are asked of the backend.

    Raises:
        UsageError: there is no such backend, or ``threads`` is not at least 1.
        LcTrtError: the backend is not installed, cannot read the model, or it or this processor
            has no arithmetic of that precision.
    """
    backend = resolve_backend(backend)
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads}: expected at least 1")
    if isinstance(model, Path) and not model.is_file():
        raise LcTrtError(f"{model}: no such file; expected a compiled ONNX model")
    module = import_module(f"lc_trt.runtime.engines.{backend}")
    engine: Engine = module.create(model, threads, precision)
    return engine
