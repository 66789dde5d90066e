"""A third runtime in one file: ONNX's own reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from lc_trt.backends.base import Backend, Capabilities, Compiled
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pipeline import compile_model, onnxruntime_passes
from lc_trt.compiler.precision import Precision
from lc_trt.runtime.engines.base import Engine, HostEngine
from lc_trt.utils.progress import ProgressMonitor

FILE = "network.toy"


class ToyEngine(HostEngine):
    """A model in the reference evaluator."""

    backend = "toy"

    def __init__(self, model: onnx.ModelProto) -> None:
        self._evaluator: ReferenceEvaluator | None = ReferenceEvaluator(model)
        shapes = {
            value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in model.graph.input
        }
        self._names = [value.name for value in model.graph.output]
        super().__init__("toy model", shapes, set(self._names))

    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        assert self._evaluator is not None
        return dict(zip(self._names, self._evaluator.run(None, feed), strict=True))

    def _release(self) -> None:
        self._evaluator = None


class ToyBackend(Backend):
    """The backend of that evaluator."""

    name = "toy"
    title = "Toy"
    install = "pip install onnx"
    engine_file = FILE
    capabilities = Capabilities(
        precisions=(Precision.FP32,),
        default_precision=Precision.FP32,
        fallback_precisions=(Precision.FP32,),
        exact_precisions=(Precision.FP32,),
    )

    def installed(self) -> bool:
        return True

    def lower(self, model: onnx.ModelProto, options: CompileOptions) -> onnx.ModelProto:
        return compile_model(model, options, onnxruntime_passes)

    def _compile(
        self, model: onnx.ModelProto, options: CompileOptions, origin: str, monitor: ProgressMonitor
    ) -> Compiled:
        content = self.lower(model, options).SerializeToString()
        return Compiled(self.name, onnx.__version__, options.precision, {FILE: content})

    def _open(
        self, content: bytes | Path, compiled: Compiled, threads: int | None, device: str | None
    ) -> Engine:
        read = content.read_bytes() if isinstance(content, Path) else content
        return ToyEngine(onnx.load_from_string(read))
