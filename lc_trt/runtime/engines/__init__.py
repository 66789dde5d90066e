"""The engines a bundle can run on, by name. Importing this imports none of them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lc_trt.bundle.bundle import Bundle
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.trt import api as trt
from lc_trt.utils.devices import check_device, parse_device
from lc_trt.utils.machine import current_gpu, module_version

if TYPE_CHECKING:
    from lc_trt.bundle.manifest import Manifest

__all__ = [
    "BACKENDS",
    "CPU_BACKENDS",
    "TENSORRT",
    "Engine",
    "EngineOutput",
    "available",
    "available_on_cpu",
    "check_precision",
    "create_engine",
    "open_engine",
    "resolve_backend",
]

# In order of preference. Each is a module here whose `create(model, threads, precision)` makes its
# engine from a compiled ONNX, whose `check_precision` says what it computes in, and the name of the
# Python package it needs.
CPU_BACKENDS = ("openvino", "onnxruntime")
# Its engines are made from a plan, and need to know how that was built.
TENSORRT = "tensorrt"
BACKENDS = (TENSORRT, *CPU_BACKENDS)


def available() -> list[str]:
    """The backends that build and run here, best first; TensorRT only where there is a GPU."""
    gpu = trt.installed() and _has_cuda() and current_gpu() is not None
    return [*([TENSORRT] if gpu else []), *available_on_cpu()]


def available_on_cpu() -> list[str]:
    """The CPU's backends installed here, best first; looks them up without importing them."""
    return [name for name in CPU_BACKENDS if find_spec(name) is not None]


def resolve_backend(backend: str) -> str:
    """An installed backend's name; ``auto`` is the best that runs here.

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
    if backend == TENSORRT:  # builds without a GPU
        if not trt.installed():
            raise LcTrtError(f"TensorRT is not installed; install it: {trt.INSTALL[TENSORRT]}")
    elif backend not in available():
        raise LcTrtError(f"backend {backend} is not installed; install it: pip install {backend}")
    return backend


def check_precision(backend: str, precision: str) -> None:
    """Refuse a precision that one of the CPU's backends does not compute in, here or anywhere."""
    import_module(f"lc_trt.runtime.engines.{backend}").check_precision(precision)


def create_engine(
    backend: str,
    model: Path | bytes,
    *,
    threads: int | None = None,
    precision: str = "fp32",
    device: str | int | None = None,
    manifest: Manifest | None = None,
    plugin: Path | None = None,
) -> Engine:
    """Load a compiled ``model.onnx``, or for TensorRT an ``engine.plan``, into a backend.

    Args:
        backend: a name of `BACKENDS`, or ``auto``.
        model: the file, or its content.
        threads: CPU threads of the CPU's backends, all by default.
        precision: of the CPU's backends: what the model was built for (`Manifest.precision`);
            ``int8`` is in the model itself, ``bf16`` and ``fp16`` are asked of the backend. A plan
            has its own.
        device: ``cpu``; for TensorRT ``cuda:N`` or N, by default the GPU of the current CUDA
            context, GPU 0 where there is none.
        manifest: for TensorRT: how the plan was built.
        plugin: for TensorRT: the plugin library, where the manifest names one.

    Raises:
        UsageError: there is no such backend or device, or ``threads`` is not at least 1.
        LcTrtError: the backend is not installed, cannot read the model, the model was built for
            another machine, or the backend or this processor has no arithmetic of that precision.
    """
    device = parse_device(device)
    backend = resolve_backend(backend)
    check_device(backend, device)
    if threads is not None and threads < 1:
        raise UsageError(f"threads {threads}: expected at least 1")
    if isinstance(model, Path) and not model.is_file():
        raise LcTrtError(f"{model}: no such file; expected a compiled model")
    if backend == TENSORRT:
        if not _has_cuda():
            raise LcTrtError(
                "a TensorRT engine needs cuda-python; install it: pip install 'lc-trt[tensorrt]'"
            )
        from lc_trt.runtime.engines.tensorrt import engine as tensorrt

        if manifest is None:
            raise LcTrtError("a plan is loaded with the manifest of its bundle, none was given")
        return tensorrt.create(model, manifest, plugin, device)
    module = import_module(f"lc_trt.runtime.engines.{backend}")
    engine: Engine = module.create(model, threads, precision)
    return engine


def open_engine(
    bundle: Bundle, *, threads: int | None = None, device: str | int | None = None
) -> Engine:
    """The engine of a bundle; see `create_engine`."""
    manifest = bundle.manifest
    return create_engine(
        manifest.backend,
        bundle.engine,
        threads=threads,
        precision=manifest.precision,
        device=device,
        manifest=manifest,
        plugin=bundle.file(manifest.plugin.file) if manifest.plugin else None,
    )


def _has_cuda() -> bool:
    """Whether cuda-python is installed."""
    return module_version("cuda") is not None and find_spec("cuda.bindings") is not None
