"""OpenVINO on the CPU."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.base import HostEngine, describe, unreadable
from lc_trt.runtime.engines.openvino_precision import pin

# What is computed in where the model itself leaves it open; INT8 is in the model.
_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
_HALF = ("bf16", "fp16")


class OpenVINOEngine(HostEngine):
    """A compiled model with one inference request."""

    backend = "openvino"

    def __init__(self, model: Path | bytes, threads: int | None, precision: str) -> None:
        try:
            network = core().read_model(model)
            if precision in _HALF:
                pinned = pin(core(), network)
                if pinned is None:
                    raise LcTrtError(
                        f"{describe(model)}: was not compiled for {precision}; "
                        f"build it: lc-trt build MODEL.onnx --backend openvino --{precision}"
                    )
                network = pinned
            # Asked for by name: where the CPU has bf16 the default would be that.
            settings: dict[str, Any] = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
            }
            if threads is not None:
                settings["INFERENCE_NUM_THREADS"] = threads
            compiled = core().compile_model(network, "CPU", settings)
        except RuntimeError as error:
            raise unreadable(model, self.backend, error) from error
        shapes = {i.any_name: _shape(i.partial_shape) for i in compiled.inputs}
        self._names = [o.any_name for o in compiled.outputs]
        super().__init__(describe(model), shapes, set(self._names))
        self._request: ov.InferRequest | None = compiled.create_infer_request()

    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        assert self._request is not None
        self._request.infer(feed, share_inputs=True)
        # The tensors are the request's own and the next pass writes into them.
        return {
            name: np.array(self._request.get_output_tensor(i).data)
            for i, name in enumerate(self._names)
        }

    def _release(self) -> None:
        self._request = None


def _shape(shape: Any) -> list[Any]:
    return [d.get_length() if d.is_static else str(d) for d in shape]


@cache
def core() -> ov.Core:
    """The process's own, never freed; nothing else may create one.

    Each brings a signal stack of its own for the thread that makes it. Of two that end in the
    order in which they began, the second puts the first one's back, which is freed memory by
    then, and the next Ctrl-C ends the process with a segmentation fault (OpenVINO 2026.4).
    """
    return ov.Core()


def processor_capabilities() -> list[str]:
    """What this processor computes in, as OpenVINO names it: ``FP32``, ``BF16``, ``INT8``, ..."""
    capabilities: list[str] = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities
