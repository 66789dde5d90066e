"""How far the values of a network reach, and which of them FP16 cannot hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.precision_choice import PRODUCTS, exceeds_half
from lc_trt.quantization.activation_collector import TensorReader

LARGEST = float(np.finfo(np.float16).max)
# Other images than those seen reach further.
HEADROOM = 2.0
# No confidence is over 1: every pixel goes through all stages, so every tensor is seen whole.
ALL_STAGES = (1.0, 1.0)


class PeakReader(TensorReader):
    """Reads the largest magnitude of every floating-point tensor; the tensors themselves stay in
    ONNX Runtime, so memory is that of a pass."""

    def __init__(self, model: onnx.ModelProto, threads: int | None = None) -> None:
        """``model`` is in FP32 and what ONNX Runtime runs, with all sizes fixed."""
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.output, *inferred.value_info)
        floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        made = [name for node in model.graph.node for name in node.output if name in floats]
        for name in made:
            magnitude, peak = f"{name}/magnitude", f"{name}/peak"
            watched.graph.node.append(helper.make_node("Abs", [name], [magnitude]))
            watched.graph.node.append(
                helper.make_node("ReduceMax", [magnitude], [peak], keepdims=0)
            )
        super().__init__(watched, [f"{name}/peak" for name in made], threads)


def find_peaks(
    model: onnx.ModelProto, images: Iterable[npt.NDArray[np.uint8]], *, cascade: bool
) -> dict[str, float]:
    """The largest magnitude of every tensor over images, uint8 [1, H, W, 3] each.

    Args:
        model: see `PeakReader`.
        cascade: whether it takes thresholds.
    """
    reader = PeakReader(model)
    peaks: dict[str, float] = {}
    for image in images:
        for name, value in reader.run(image, ALL_STAGES if cascade else None):
            tensor = name.removesuffix("/peak")
            # NaN stays: it is no value that FP16 holds.
            peaks[tensor] = float(np.maximum(peaks.get(tensor, 0.0), value))
    return peaks


def beyond_half(model: onnx.ModelProto, peaks: dict[str, float]) -> Iterator[tuple[str, str]]:
    """The tensors that have to stay in FP32, in the order of the graph, and why.

    Those are the ones that come within ``HEADROOM`` of FP16's largest value, and what is made with
    a weight beyond it.
    """
    graph = Graph(model)
    for node in graph.nodes:
        weights = [graph.constants[name] for name in node.input if name in graph.constants]
        if node.op_type in PRODUCTS and any(exceeds_half(weight) for weight in weights):
            largest = max(float(np.abs(weight).max()) for weight in weights)
            yield node.output[0], f"a weight reaches {largest:.6g}, FP16 ends at {LARGEST:.0f}"
            continue
        for name in node.output:
            peak = peaks.get(name, 0.0)
            if not peak <= LARGEST / HEADROOM:
                yield name, f"reaches {peak:.6g} on the images, FP16 ends at {LARGEST:.0f}"
