"""A region convolution as products of rows equals the operator's own definition."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from region_graphs import CHANNELS, RegionGraph, assert_equal_results, count, region_graph

from lc_trt.compiler.lower_standard import Lowering, LowerStandard
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.errors import LcTrtError
from lc_trt.ir.export.regions import all_rows
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_CONV


def lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    return run_passes(model, [LowerStandard(Lowering())])


def one_conv(outputs: int, kernel: int, residual: bool, seed: int = 0) -> onnx.ModelProto:
    def body(b: RegionGraph) -> tuple[str, int]:
        return b.conv(
            b.entered, CHANNELS, outputs, kernel, b.entered if residual else None
        ), outputs

    return region_graph(body, seed)


@given(
    outputs=st.integers(1, 12), kernel=st.sampled_from([1, 3, 5]), residual=st.booleans(),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_products_equal_the_function(outputs: int, kernel: int, residual: bool, seed: int) -> None:
    if residual:
        outputs = CHANNELS
    model = one_conv(outputs, kernel, residual, seed)
    assert_equal_results(model, lowered(model))


def map_conv(outputs: int, kernel: int, seed: int = 0) -> onnx.ModelProto:
    """A convolution of a dense map at a region's pixels."""

    def body(b: RegionGraph) -> tuple[str, int]:
        source, own = all_rows(b, "x"), b.selected
        b.selected = replace(own, index=source.index)
        y = b.conv(source.rows, CHANNELS, outputs, kernel)
        b.selected = own
        return y, outputs

    return run_passes(region_graph(body, seed), [FoldConstants()])


@given(outputs=st.integers(1, 12), kernel=st.sampled_from([1, 3, 5]), seed=st.integers(0, 99))
def test_a_convolution_of_a_map_equals_the_function(outputs: int, kernel: int, seed: int) -> None:
    model = map_conv(outputs, kernel, seed)
    for multiple in (1, 64):
        lowering = Lowering(row_multiple=multiple)
        assert_equal_results(model, run_passes(model, [LowerStandard(lowering)]))


def test_a_map_is_not_multiplied_at_all_its_pixels() -> None:
    # Although that would gather less: the region may be small.
    model = lowered(map_conv(CHANNELS - 1, 3))
    (zero,) = (t for t in model.graph.initializer if t.name == "conv/zero_row")
    assert list(zero.dims) == [1, CHANNELS]


@pytest.mark.parametrize(("outputs", "gathers"), [(CHANNELS - 1, CHANNELS - 1), (12, CHANNELS)])
def test_the_narrower_of_input_and_output_is_gathered(outputs: int, gathers: int) -> None:
    # What is gathered starts with a row of zeros, for neighbours outside the region.
    model = lowered(one_conv(outputs, 3, residual=False))
    (zero,) = (t for t in model.graph.initializer if t.name == "conv/zero_row")
    assert list(zero.dims) == [1, gathers]


def test_a_1x1_gathers_nothing() -> None:
    model = lowered(one_conv(4, 1, residual=False))
    assert count(model, "MatMul") == 1
    assert not any(t.name == "conv/zero_row" for t in model.graph.initializer)


def test_a_weight_that_is_computed_is_refused_by_name() -> None:
    model = one_conv(4, 1, residual=False)
    conv = next(node for node in model.graph.node if is_region(node, REGION_CONV))
    weight = next(t for t in model.graph.initializer if t.name in conv.input and len(t.dims) == 4)
    model.graph.input.append(
        onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
    )
    model.graph.initializer.remove(weight)
    with pytest.raises(LcTrtError, match=f"node '{conv.name}': its weight is not a constant"):
        lowered(model)
