"""INT8 on the map, in the form that TensorRT fuses."""

from __future__ import annotations

import numpy as np
import onnx
from compilation import lowered_for_tensorrt
from lowered_int8 import FLOAT, HALF, INT8, SIZE, types_of
from region_graphs import views

from lc_trt.compiler.options import Quantization
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare


def test_convolutions_on_the_map_are_in_the_form_that_tensorrt_fuses(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    lowered = lowered_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges))
    values = {t.name: onnx.numpy_helper.to_array(t) for t in lowered.graph.initializer}
    types, quantised = types_of(lowered), 0
    plan = make_plan(prepare(model, SIZE, 1))
    quantizers = {view.output("y") for view in views(lowered, "QuantizeLinear")}
    dequantizers = {view.output("y"): view for view in views(lowered, "DequantizeLinear")}
    convs = views(lowered, "Conv")
    for conv in convs:
        if conv.output("Y") not in plan.convolutions:
            assert types[conv.input("X")] == types[conv.input("W")] == HALF
            continue
        quantised += 1
        x, weight = (dequantizers[conv.input(name)] for name in ("X", "W"))
        assert types[x.input("x")] == INT8 and x.input("x") in quantizers
        # In FP32 between: a scale may be smaller than what FP16 holds.
        assert types[conv.output("Y")] == FLOAT
        assert values[weight.input("x")].dtype == np.int8
    assert quantised == sum(conv.output("Y") in plan.convolutions for conv in convs) > 10
    zeros = [view.input("y_zero_point") for view in views(lowered, "QuantizeLinear")]
    zeros += [view.input("x_zero_point") for view in dequantizers.values()]
    assert zeros and all(values[z].dtype == np.int8 and not values[z].any() for z in zeros)
    for add in views(lowered, "Add"):
        if add.node.name.startswith("stage1"):
            assert sum(add.input(name) in dequantizers for name in ("A", "B")) == 1
