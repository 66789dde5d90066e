"""What each backend makes of a model: files of the bundle, and what its manifest says of them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import onnx

from lc_trt import trt
from lc_trt.bundle import MODEL, PLAN, PLUGINS
from lc_trt.compiler.pipeline import Precision, compile_for_tensorrt, compile_model
from lc_trt.environment import current_gpu, module_version
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.plan.engine import build_plan
from lc_trt.plan.options import PlanOptions, Profile, check_options, targets
from lc_trt.plan.progress import Show
from lc_trt.runtime.engines import TENSORRT, available

Size = tuple[int, int]
# By backend, its default first.
PRECISIONS = {"tensorrt": ("fp16", "fp32"), "openvino": ("fp32",), "onnxruntime": ("fp32",)}


@dataclass(frozen=True)
class Made:
    """A compiled network.

    Attributes:
        engine: content of the file that the backend runs.
        files: the bundle's files, without ``source.onnx``.
        facts: fields of the manifest.
        unchecked: why it cannot be compared with ONNX Runtime here; None where it can.
    """

    engine: bytes
    files: dict[str, bytes | Path]
    facts: dict[str, Any] = field(default_factory=dict)
    unchecked: str | None = None


class Maker(ABC):
    """A backend with its options, which were checked."""

    @abstractmethod
    def make(self, model: onnx.ModelProto, origin: str, size: Profile[Size]) -> Made:
        """Compile an exchange model that messages call ``origin``."""


def make_maker(
    backend: str,
    precision: str | None,
    batch: Profile[int],
    size: Profile[Size] | None,
    options: PlanOptions,
    show: Show,
) -> Maker:
    """The maker of a backend.

    Raises:
        UsageError: an option that this backend has not.
        LcTrtError: something that it needs to build is not here.
    """
    known = PRECISIONS[backend]
    precision = precision or known[0]
    if precision not in known:
        raise UsageError(
            f"precision {precision}: {backend} engines are {' or '.join(known)}; leave it out"
        )
    if backend == TENSORRT:
        return _TensorRT(precision, batch, options, show)
    if options.given():
        raise UsageError(
            f"{', '.join(options.given())}: for --backend tensorrt only, this is {backend}"
        )
    if batch.fixed is None or (size is not None and size.fixed is None):
        raise UsageError(
            f"a range of batches or sizes: for --backend tensorrt only, this is {backend}; "
            "give --batch and --size"
        )
    return _OnCpu(backend, precision, batch.opt)


class _OnCpu(Maker):
    """OpenVINO and ONNX Runtime: they run ONNX."""

    def __init__(self, backend: str, precision: str, batch: int) -> None:
        self._backend, self._precision, self._batch = backend, precision, batch

    def make(self, model: onnx.ModelProto, origin: str, size: Profile[Size]) -> Made:
        content = compile_model(model, self._backend, size.opt, self._batch).SerializeToString()
        facts = {
            "backend_version": module_version(self._backend) or "unknown",
            "precision": self._precision,
        }
        return Made(content, {MODEL: content}, facts)


class _TensorRT(Maker):
    """A plan."""

    def __init__(
        self, precision: str, batch: Profile[int], options: PlanOptions, show: Show
    ) -> None:
        self._precision, self._batch = cast(Precision, precision), batch
        self._options, self._show = options, show
        self._api, self._gpu = trt.load(), current_gpu()
        check_options(options, self._api, self._gpu)
        # What the check runs the plan with; better to know before the build than after.
        if self._gpu is not None and TENSORRT not in available():
            raise LcTrtError(
                "the check of the engine needs cuda-python; install it: "
                "pip install 'lc-trt[tensorrt]'"
            )

    def make(self, model: onnx.ModelProto, origin: str, size: Profile[Size]) -> Made:
        lowered = compile_for_tensorrt(model, size.fixed, self._batch.fixed, self._precision)
        plan = build_plan(
            self._api,
            lowered,
            self._options,
            batch=self._batch,
            size=size,
            gpu=self._gpu,
            origin=origin,
            show=self._show,
        )
        if self._options.save_layers is not None and plan.layers is not None:
            _write(self._options.save_layers, plan.layers)
        files: dict[str, bytes | Path] = {PLAN: plan.content}
        if plan.library is not None:
            files[PLUGINS] = plan.library.path
        gpu, api = self._gpu, self._api
        facts = {
            "backend_version": api.version,
            "precision": self._precision,
            "tensorrt": self._options.manifest_entry(api, gpu),
            "plugin": plan.library.manifest_entry() if plan.library else None,
            "gpu": asdict(gpu) if gpu is not None else None,
        }
        return Made(plan.content, files, facts, self._unchecked())

    def _unchecked(self) -> str | None:
        gpu, api = self._gpu, self._api
        if gpu is None:
            return "the build found no NVIDIA GPU to run it on"
        built_for = targets(self._options, api, gpu)
        if built_for and gpu.compute_capability not in built_for:
            return (
                f"built for compute capability {', '.join(built_for)}, the GPU here is "
                f"{gpu.name} with {gpu.compute_capability}"
            )
        return None


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        raise LcTrtError(
            f"--save-layers {path}: cannot be written ({error.strerror}); choose another file"
        ) from error
