"""The largest magnitude of each tensor, and which tensors FP16 cannot represent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.precision_choice import PRODUCTS, exceeds_half
from lc_trt.quantization.activation_collector import TensorReader

FP16_MAX = float(np.finfo(np.float16).max)
# Values may be larger on other images.
HEADROOM = 2.0
# No confidence exceeds 1, so every pixel goes through all stages and every tensor is complete.
ALL_STAGES = (1.0, 1.0)


class PeakReader(TensorReader):
    """Reads the largest magnitude of every floating-point tensor.

    The maximum is computed in ONNX Runtime, so that memory is that of an ordinary pass.
    """

    def __init__(self, model: onnx.ModelProto, threads: int | None = None) -> None:
        """Add the reductions to a copy of the model and open a session.

        Args:
            model: an FP32 ONNX of fixed sizes that ONNX Runtime runs.
            threads: CPU threads; None for all.
        """
        extended = onnx.ModelProto()
        extended.CopyFrom(model)
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.output, *inferred.value_info)
        floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        tensors = [name for node in model.graph.node for name in node.output if name in floats]
        for name in tensors:
            magnitude, peak = f"{name}/magnitude", f"{name}/peak"
            extended.graph.node.append(helper.make_node("Abs", [name], [magnitude]))
            extended.graph.node.append(
                helper.make_node("ReduceMax", [magnitude], [peak], keepdims=0)
            )
        super().__init__(extended, [f"{name}/peak" for name in tensors], threads)


def find_peaks(
    model: onnx.ModelProto, images: Iterable[npt.NDArray[np.uint8]], *, cascade: bool
) -> dict[str, float]:
    """The largest magnitude of every tensor over some images.

    Args:
        model: as of `PeakReader`.
        images: uint8 [1, H, W, 3] each, BGR.
        cascade: whether the model takes thresholds.
    """
    reader = PeakReader(model)
    peaks: dict[str, float] = {}
    for image in images:
        for name, value in reader.run(image, ALL_STAGES if cascade else None):
            tensor = name.removesuffix("/peak")
            # np.maximum propagates NaN, which FP16 has to be kept away from too.
            peaks[tensor] = float(np.maximum(peaks.get(tensor, 0.0), value))
    return peaks


def beyond_fp16(model: onnx.ModelProto, peaks: dict[str, float]) -> Iterator[tuple[str, str]]:
    """The tensors that have to stay in FP32.

    These are the tensors within a factor of ``HEADROOM`` of FP16's largest value, and the products
    with a weight beyond it.

    Args:
        model: as of `PeakReader`.
        peaks: the largest magnitude per tensor, of `find_peaks`.

    Yields:
        Name and reason per tensor, in the order of the graph.
    """
    graph = Graph(model)
    for node in graph.nodes:
        weights = [graph.constants[name] for name in node.input if name in graph.constants]
        if node.op_type in PRODUCTS and any(exceeds_half(weight) for weight in weights):
            largest = max(float(np.abs(weight).max()) for weight in weights)
            yield node.output[0], f"a weight reaches {largest:.6g}, FP16 ends at {FP16_MAX:.0f}"
            continue
        for name in node.output:
            peak = peaks.get(name, 0.0)
            if not peak <= FP16_MAX / HEADROOM:  # also true of NaN
                yield name, f"reaches {peak:.6g} on the images, FP16 ends at {FP16_MAX:.0f}"
