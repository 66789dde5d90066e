"""ONNX Runtime on the CPU: the portable fallback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime as ort  # type: ignore[import-untyped]

from lc_trt.runtime.engines.base import HostEngine, describe, unreadable

_ERRORS_ONLY = 3  # ONNX Runtime warns of every function that it inlines


def open_session(
    model: Path | bytes,
    *,
    threads: int | None = None,
    spinning: bool = True,
    optimize: bool = True,
    optimized: Path | None = None,
) -> ort.InferenceSession:
    """ONNX Runtime on the CPU: the one way in which all of lc-trt starts it.

    Args:
        model: an ONNX file, or the content of one.
        threads: how many one operator may use; None leaves the number to ONNX Runtime, which takes
            all physical cores.
        spinning: whether threads wait for work by spinning: quicker for passes that follow each
            other, at the cost of whatever else wants the cores in between.
        optimize: whether ONNX Runtime may rewrite the graph; INT8 is then rounded in another order.
        optimized: where to write the graph that ONNX Runtime runs.

    Raises:
        Exception: ONNX Runtime cannot read the model; its classes have no common base.
    """
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxRuntimeEngine(HostEngine):
    """A session on the CPU."""

    backend = "onnxruntime"

    def __init__(self, model: Path | bytes, threads: int | None) -> None:
        try:
            self._session: ort.InferenceSession | None = open_session(model, threads=threads)
        except Exception as error:  # its classes have no common base but Exception
            raise unreadable(model, self.backend, error) from error
        self._names = [o.name for o in self._session.get_outputs()]
        shapes = {i.name: i.shape for i in self._session.get_inputs()}
        super().__init__(describe(model), shapes, set(self._names))

    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        assert self._session is not None
        return dict(zip(self._names, self._session.run(self._names, feed), strict=True))

    def _release(self) -> None:
        self._session = None
