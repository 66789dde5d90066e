"""The backends by name. Importing this imports none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import CompileOptions, Size
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.trt.options import PlanOptions

if TYPE_CHECKING:
    from lc_trt.backends.base import Backend

AUTO = "auto"


def _lazy(module: str, attribute: str) -> Callable[[], Backend]:
    def fetch() -> Backend:
        backend: Backend = getattr(import_module(module), attribute)
        return backend

    return fetch


# In order of preference.
_backends: dict[str, Callable[[], Backend]] = {
    "tensorrt": _lazy("lc_trt.backends.tensorrt", "TENSORRT"),
    "openvino": _lazy("lc_trt.backends.cpu", "OPENVINO"),
    "onnxruntime": _lazy("lc_trt.backends.cpu", "ONNXRUNTIME"),
}


def register(backend: Backend) -> None:
    """Add a backend after all others, or replace the one of the same name.

    Args:
        backend: the backend.
    """
    _backends[backend.name] = lambda: backend


@contextmanager
def registered(*backends: Backend) -> Iterator[None]:
    """Register backends while the block runs.

    Args:
        backends: as of `register`.
    """
    before = dict(_backends)
    for backend in backends:
        register(backend)
    try:
        yield
    finally:
        _backends.clear()
        _backends.update(before)


def names() -> tuple[str, ...]:
    """All backends, installed or not, best first."""
    return tuple(_backends)


def get_backend(name: str) -> Backend:
    """A backend, installed or not.

    Args:
        name: one of `names`.

    Raises:
        UsageError: there is no backend of that name.
    """
    if name not in _backends:
        raise UsageError(f"unknown backend {name!r}: expected {AUTO}, {' or '.join(_backends)}")
    return _backends[name]()


def available() -> list[Backend]:
    """The backends that compile and run here, best first."""
    return [backend for backend in map(get_backend, names()) if backend.runs_here()]


def resolve_backend(name: str = AUTO) -> Backend:
    """An installed backend.

    Args:
        name: one of `names`, or ``auto`` for the best that runs here.

    Raises:
        UsageError: there is no backend of that name.
        LcTrtError: it is not installed; names the command that installs it.
    """
    if name == AUTO:
        candidates = available()
        if not candidates:
            raise LcTrtError("no backend is installed; install one: pip install openvino")
        return candidates[0]
    backend = get_backend(name)
    backend.require()
    return backend


def compile_options(
    backend: str = AUTO,
    size: Size | Profile[Size] | None = None,
    batch: int | Profile[int] = 1,
    precision: str | None = None,
    fallback_precision: str | None = None,
    *,
    reuse: bool = False,
    tensorrt: PlanOptions | None = None,
) -> CompileOptions:
    """Options for an installed backend, with its defaults for what is not given.

    Args:
        backend: its name; ``auto`` is the first that runs here.
        size: (height, width) in pixels, a profile of them, or None for the model's own.
        batch: images per pass, or a profile of them.
        precision: name of a `Precision`; None is the backend's default.
        fallback_precision: of layers outside INT8; None is the backend's default.
        reuse: whether to add temporal reuse to a cascade.
        tensorrt: builder options of TensorRT; None for its defaults.

    Raises:
        UsageError: no such backend, size, batch or precision.
        LcTrtError: the backend is not installed.
    """
    resolved = resolve_backend(backend)
    supports = resolved.capabilities
    return CompileOptions.of(
        resolved.name,
        size,
        batch,
        precision or supports.default_precision,
        fallback_precision or supports.fallback_precisions[0],
        reuse=reuse,
        tensorrt=tensorrt,
    )
