"""OpenVINO and ONNX Runtime on the CPU, which run an ONNX of standard operators."""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lc_trt.backends.base import Backend, Capabilities, Compiled
from lc_trt.bundle.sections import ReuseInputs
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import LIMITS, PAST
from lc_trt.runtime.engines.base import Engine
from lc_trt.utils.machine import module_version
from lc_trt.utils.progress import ProgressMonitor

if TYPE_CHECKING:
    import onnx

    from lc_trt.compiler.pipeline import PassSequence

FP32, BF16, FP16, INT8 = Precision.FP32, Precision.BF16, Precision.FP16, Precision.INT8


class OnnxBackend(Backend):
    """A backend whose engine file is an ONNX, named after its package."""

    @abstractmethod
    def passes(self) -> PassSequence:
        """The passes that lower a model for it."""

    def installed(self) -> bool:
        """See `Backend.installed`."""
        return find_spec(self.name) is not None

    def lower(self, model: onnx.ModelProto, options: CompileOptions) -> onnx.ModelProto:
        """See `Backend.lower`."""
        from lc_trt.compiler.pipeline import compile_model

        return compile_model(model, options, self.passes())

    def _compile(
        self,
        model: onnx.ModelProto,
        options: CompileOptions,
        origin: str,
        monitor: ProgressMonitor,
    ) -> Compiled:
        network = self.lower(model, options)
        state = {
            value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            for value in network.graph.input
            if value.name in (*PAST, LIMITS)
        }
        return Compiled(
            self.name,
            module_version(self.name) or "unknown",
            options.precision,
            {self.engine_file: network.SerializeToString()},
            reuse=ReuseInputs(state) if options.reuse else None,
        )


class OpenVINO(OnnxBackend):
    """OpenVINO on the CPU."""

    name = "openvino"
    title = "OpenVINO"
    install = "pip install openvino"
    capabilities = Capabilities(
        precisions=(FP32, BF16, FP16, INT8),
        default_precision=FP32,
        fallback_precisions=(FP32,),
        exact_precisions=(FP32,),
        reuse=True,
    )

    def passes(self) -> PassSequence:
        """See `OnnxBackend.passes`."""
        from lc_trt.compiler.pipeline import openvino_passes

        return openvino_passes

    def check_precision(self, precision: Precision) -> None:
        """See `Backend.check_precision`; OpenVINO would silently use FP32 instead."""
        super().check_precision(precision)
        if not precision.reduced_float:
            return
        from lc_trt.runtime.engines.openvino import processor_capabilities

        supported = processor_capabilities()
        if precision.upper() not in supported:
            others = [p for p in (BF16, FP16) if p.upper() in supported]
            raise LcTrtError(
                f"this processor has no {precision} arithmetic; build with "
                + " or ".join(f"--{p}" for p in (*others, INT8))
            )

    def _open(
        self, content: bytes | Path, compiled: Compiled, threads: int | None, device: str | None
    ) -> Engine:
        from lc_trt.runtime.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(content, threads, compiled.precision)


class OnnxRuntime(OnnxBackend):
    """ONNX Runtime on the CPU: the portable fallback."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    install = "pip install onnxruntime"
    capabilities = Capabilities(
        precisions=(FP32, INT8),
        default_precision=FP32,
        fallback_precisions=(FP32,),
        exact_precisions=(FP32,),
        reuse=True,
    )

    def passes(self) -> PassSequence:
        """See `OnnxBackend.passes`."""
        from lc_trt.compiler.pipeline import onnxruntime_passes

        return onnxruntime_passes

    def check_precision(self, precision: Precision) -> None:
        """See `Backend.check_precision`."""
        if precision not in self.capabilities.precisions:
            raise LcTrtError(
                f"{self.title} has no {precision} arithmetic on the CPU; build with "
                f"--backend {OpenVINO.name} --{precision}, or with --int8"
            )

    def _open(
        self, content: bytes | Path, compiled: Compiled, threads: int | None, device: str | None
    ) -> Engine:
        from lc_trt.runtime.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(content, threads)


OPENVINO = OpenVINO()
ONNXRUNTIME = OnnxRuntime()
