"""What each backend makes of a model: files of the bundle, and what its manifest says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from lc_trt.bundle.bundle import CALIBRATION, MODEL, PLAN, PLUGINS
from lc_trt.bundle.sections import Calibration, Profile, ReuseInputs
from lc_trt.compiler.options import CompileOptions, Precision, Size
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.compiler.pipeline import compile_for_tensorrt, compile_model
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import LIMITS, PAST
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.fp16_overflow import find_overflow
from lc_trt.quantization.int8 import Prepared, prepare_int8
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.runtime.engines import TENSORRT, available, check_precision
from lc_trt.trt import api as trt
from lc_trt.trt.builder import build_plan
from lc_trt.trt.options import check_bf16, check_options, targets
from lc_trt.utils.files import atomic_write
from lc_trt.utils.machine import current_gpu, module_version
from lc_trt.utils.progress import ProgressMonitor


@dataclass(frozen=True)
class BuiltEngine:
    """A compiled network.

    Attributes:
        engine: content of the file that the backend runs.
        files: the bundle's files, without ``source.onnx``.
        facts: fields of the manifest.
        prepared: what an INT8 engine was quantised with; None for others.
        overflow: tensors that an FP16 engine keeps in FP32.
        unchecked: why it cannot be compared with ONNX Runtime here; None where it can.
        stand_in: what an INT8 engine that cannot run here was built from, for ONNX Runtime: by
            the functions' bodies it computes the same codes.
    """

    engine: bytes
    files: dict[str, bytes | Path]
    facts: dict[str, Any] = field(default_factory=dict)
    prepared: Prepared | None = None
    overflow: tuple[str, ...] = ()
    unchecked: str | None = None
    stand_in: bytes | None = None


class EngineBuilder(ABC):
    """A backend with its options, which were checked."""

    @abstractmethod
    def make(
        self, model: onnx.ModelProto, info: ModelInfo, origin: str, size: Profile[Size]
    ) -> BuiltEngine:
        """Compile an exchange model that messages call ``origin``."""


def make_maker(
    options: CompileOptions,
    quantization: QuantizationOptions | None,
    show: ProgressMonitor,
    overflow_images: Path | None = None,
) -> EngineBuilder:
    """The maker of a backend.

    Args:
        options: what to compile for.
        quantization: how to quantise an INT8 engine.
        show: shows progress and warnings.
        overflow_images: as of `lc_trt.builder.build.build`.

    Raises:
        UsageError: an option that this backend has not, or INT8 without ``quantization`` or the
            reverse.
        LcTrtError: something that it needs to build is not here, or this processor does not
            compute in that precision.
    """
    backend, precision, plan = options.backend, options.precision, options.tensorrt
    if backend != TENSORRT:
        check_precision(backend, precision)
    if (precision is Precision.INT8) != (quantization is not None):
        raise UsageError("INT8 needs images or a table to calibrate with: --int8 --calib DIR")
    if quantization is not None:
        _check_fallback(backend, options.fallback_precision)
    if overflow_images is not None and precision is not Precision.FP16:
        raise UsageError("--calib belongs to --int8 and --fp16")
    if backend == TENSORRT and options.reuse:
        raise UsageError(
            "--reuse: for the CPU so far, since the runtime of TensorRT's engines keeps no state "
            "between frames; leave it out, or build with --backend openvino"
        )
    if backend == TENSORRT:
        return _TensorRT(options, quantization, show, overflow_images)
    if plan.given():
        raise UsageError(
            f"{', '.join(plan.given())}: for --backend tensorrt only, this is {backend}"
        )
    if options.batch.fixed is None or (options.size is not None and options.size.fixed is None):
        raise UsageError(
            f"a range of batches or sizes: for --backend tensorrt only, this is {backend}; "
            "give --batch and --size"
        )
    return _OnCpu(options, quantization, show, overflow_images)


class _OnCpu(EngineBuilder):
    """OpenVINO and ONNX Runtime: they run ONNX."""

    def __init__(
        self,
        options: CompileOptions,
        int8: QuantizationOptions | None,
        show: ProgressMonitor,
        calib: Path | None,
    ) -> None:
        self._backend, self._precision = options.backend, options.precision
        self._batch, self._reuse = options.batch.opt, options.reuse
        self._int8, self._show, self._calib = int8, show, calib

    def make(
        self, model: onnx.ModelProto, info: ModelInfo, origin: str, size: Profile[Size]
    ) -> BuiltEngine:
        if self._reuse and info.kind == "dense":
            raise UsageError(
                f"--reuse: {origin} is a dense network, which computes all pixels; leave it out"
            )
        facts: dict[str, Any] = {
            "backend_version": module_version(self._backend) or "unknown",
            "precision": self._precision,
        }
        prepared, quantization, files = None, None, dict[str, bytes | Path]()
        if self._int8 is not None:
            prepared = prepare_int8(model, info, self._backend, size.opt, self._int8, self._show)
            quantization = prepared.quantization
            facts["calibration"] = Calibration(int8=prepared.calibration)
            files[CALIBRATION] = prepared.table.dumps().encode()
        overflow: tuple[str, ...] = ()
        if self._precision == "fp16":
            plain = compile_model(model, self._backend, size.opt, 1)
            fp16 = find_overflow(plain, info, size.opt, self._calib, self._show)
            overflow, facts["calibration"] = fp16.tensors, Calibration(fp16=fp16)
        compiled = compile_model(
            model, self._backend, size.opt, self._batch, quantization, self._precision, overflow,
            reuse=self._reuse,
        )  # fmt: skip
        if self._reuse:
            facts["reuse"] = ReuseInputs(
                {
                    value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
                    for value in compiled.graph.input
                    if value.name in (*PAST, LIMITS)
                }
            )
        content = compiled.SerializeToString()
        return BuiltEngine(content, {MODEL: content, **files}, facts, prepared, overflow)


class _TensorRT(EngineBuilder):
    """A plan."""

    def __init__(
        self,
        options: CompileOptions,
        int8: QuantizationOptions | None,
        show: ProgressMonitor,
        calib: Path | None,
    ) -> None:
        self._precision, self._batch = options.precision, options.batch
        self._fallback, self._options = options.fallback_precision, options.tensorrt
        self._int8, self._show, self._calib = int8, show, calib
        self._api, self._gpu = trt.load(), current_gpu()
        check_options(self._options, self._api, self._gpu)
        if options.floating is Precision.BF16:
            check_bf16(self._options, self._api, self._gpu)
        # What the check runs the plan with; better to know before the build than after.
        if self._gpu is not None and TENSORRT not in available():
            raise LcTrtError(
                "the check of the engine needs cuda-python; install it: "
                "pip install 'lc-trt[tensorrt]'"
            )

    def make(
        self, model: onnx.ModelProto, info: ModelInfo, origin: str, size: Profile[Size]
    ) -> BuiltEngine:
        prepared, stand_in, calibration = None, None, Calibration()
        floating, quantization = self._precision, None
        overflow: tuple[str, ...] = ()
        if self._int8 is not None:
            prepared = prepare_int8(model, info, TENSORRT, size.opt, self._int8, self._show)
            floating, quantization = self._fallback, prepared.quantization
            int8 = replace(prepared.calibration, fallback_precision=floating)
            calibration = Calibration(int8=int8)
        if floating == "fp16":
            plain = compile_for_tensorrt(model, size.opt, 1, "fp32", quantization)
            found = find_overflow(plain, info, size.opt, self._images(), self._show)
            overflow, calibration = found.tensors, replace(calibration, fp16=found)
        lowered = compile_for_tensorrt(
            model, size.fixed, self._batch.fixed, floating, quantization, overflow
        )
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
            atomic_write(
                self._options.save_layers, plan.layers.encode(), "choose another file",
                option="--save-layers",
            )  # fmt: skip
        files: dict[str, bytes | Path] = {PLAN: plan.content}
        if plan.library is not None:
            files[PLUGINS] = plan.library.path
        unchecked = self._unchecked()
        if self._int8 is not None and prepared is not None:
            files[CALIBRATION] = prepared.table.dumps().encode()
            if unchecked is not None:
                runs = lowered
                if floating == "bf16":  # which ONNX Runtime does not compute in
                    runs = compile_for_tensorrt(
                        model, size.fixed, self._batch.fixed, "fp32", quantization
                    )
                frozen = run_passes(runs, [Freeze(self._batch.opt, size.opt)])
                stand_in = frozen.SerializeToString()
        gpu, api = self._gpu, self._api
        facts = {
            "backend_version": api.version,
            "precision": self._precision,
            "calibration": None if calibration == Calibration() else calibration,
            "tensorrt": self._options.manifest_entry(api, gpu),
            "plugin": plan.library.manifest_entry() if plan.library else None,
            "gpu": gpu,
        }
        return BuiltEngine(plan.content, files, facts, prepared, overflow, unchecked, stand_in)

    def _images(self) -> Path | None:
        """Where values beyond FP16 are looked for; a table of ranges has no images."""
        if self._int8 is None:
            return self._calib
        return None if self._int8.calib.suffix == ".json" else self._int8.calib

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


def _check_fallback(backend: str, precision: Precision) -> None:
    """Refuse a precision beside INT8 that the backend does not mix with it."""
    known = ("fp16", "bf16", "fp32") if backend == TENSORRT else ("fp32",)
    if precision not in known:
        raise UsageError(
            f"--int8 --{precision}: what stays out of INT8 is {' or '.join(known)} with {backend}; "
            f"leave out --{precision}"
        )
