"""INT8 networks and graphs lowered for TensorRT, and checks of them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto
from region_graphs import feed
from tiny_networks import session

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.insert_qdq import Quantizer
from lc_trt.compiler.passes.quantization_plan import make_plan, quantised_inputs
from lc_trt.compiler.pipeline import prepare

SIZE = (52, 75)
EMPTY, FULL = (-1.0, -1.0), (1.0, 1.0)
INT8, HALF, FLOAT = TensorProto.INT8, TensorProto.FLOAT16, TensorProto.FLOAT


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {
        t.name: t.data_type for t in model.graph.initializer
    }


def signed_int8(graph: Graph, ranges: dict[str, tuple[float, float]]) -> onnx.ModelProto:
    """A folded graph in INT8 with zero points of 0, TensorRT's only form, as a model."""
    plan = make_plan(graph)
    tensors = quantised_inputs(graph, plan, ())
    Quantizer(graph, Quantization(ranges), plan, tensors, signed=True).run()
    return graph.encode()


def exchange_ranges(model: onnx.ModelProto, images: np.ndarray) -> dict[str, tuple[float, float]]:
    """Ranges of a cascade's tensors on images whose pixels all reach every stage."""
    graph = prepare(model, (images.shape[1], images.shape[2]), len(images))
    return _observed(graph.encode(), {"image": images, "rho": np.array(FULL, np.float32)})


def ranges_of(model: onnx.ModelProto) -> dict[str, tuple[float, float]]:
    """Ranges of the tensors of a graph with a full region."""
    return _observed(model, feed(1.0))


def _observed(
    model: onnx.ModelProto, inputs: dict[str, np.ndarray]
) -> dict[str, tuple[float, float]]:
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    tensors = make_plan(Graph(model)).tensors
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.helper.make_empty_tensor_value_info(t) for t in tensors)
    found = session(shown).run(list(tensors), inputs)
    return {
        t: (float(v.min(initial=0)), float(v.max())) for t, v in zip(tensors, found, strict=True)
    }


def assert_near(
    model: onnx.ModelProto, keep: Collection[str] = (), error: float = 0.03
) -> onnx.ModelProto:
    """Check that the error of a model in INT8 is small relative to its values (RMS)."""
    how = Quantization(ranges_of(model), keep)
    int8 = run_passes(model, lower_tensorrt(how))
    a, b = session(model), session(int8)
    for share in (-1.0, 0.5, 1.0):
        (expected,), (found,) = a.run(None, feed(share)), b.run(None, feed(share))
        distance = np.sqrt(np.mean((found - expected) ** 2))
        assert distance <= error * np.sqrt(np.mean(expected**2))
    return int8
