"""ONNX Runtime on the CPU: the portable fallback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime as ort  # type: ignore[import-untyped]

from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.base import Engine, HostEngine, describe, unreadable

QUIET = 3  # errors only


class OnnxRuntimeEngine(HostEngine):
    """A session on the CPU."""

    backend = "onnxruntime"

    def __init__(self, model: Path | bytes, threads: int | None) -> None:
        options = ort.SessionOptions()
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = QUIET
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session: ort.InferenceSession | None = ort.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
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


def check_precision(precision: str) -> None:
    """Refuse what ONNX Runtime does not compute in on a CPU."""
    if precision not in ("fp32", "int8"):
        raise LcTrtError(
            f"ONNX Runtime has no {precision} arithmetic on the CPU; build with "
            f"--backend openvino --{precision}, or with --int8"
        )


def create(model: Path | bytes, threads: int | None, precision: str) -> Engine:
    """Load a model; see `lc_trt.runtime.engines.create_engine`."""
    check_precision(precision)
    return OnnxRuntimeEngine(model, threads)
