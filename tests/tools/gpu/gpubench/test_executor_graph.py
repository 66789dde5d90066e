"""What the executor of tools/gpu makes of a graph, and which graphs it refuses."""

from __future__ import annotations

import onnx
import pytest
import torch
from gpubench.executor import Executor
from gpubench.networks import lower
from gpubench.reference import probabilities_of
from gpubench.tactics import tune
from lowered_cases import (
    BATCH,
    EMPTY,
    FULL,
    SIZE,
    executor,
    node_of,
    put,
)  # fmt: skip
from onnx import helper
from tiny_networks import tiny_model

from lc_trt.errors import LcTrtError

# --- what it refuses -----------------------------------------------------------------------------


def edited(change) -> onnx.ModelProto:
    model = lower(tiny_model(), SIZE, BATCH, "float32")
    change(model.graph)
    return model


def rename_relu(graph):
    node_of(graph, "Relu").op_type = "Softplus"


def rename_pool(graph):
    node_of(graph, "RegionRestrict").op_type = "RegionShrink"


def round_up(graph):
    node_of(graph, "MaxPool").attribute.append(helper.make_attribute("ceil_mode", 1))


def align_corners(graph):
    resize = node_of(graph, "Resize")
    kept = [a for a in resize.attribute if a.name != "coordinate_transformation_mode"]
    del resize.attribute[:]
    mode = helper.make_attribute("coordinate_transformation_mode", "align_corners")
    resize.attribute.extend([*kept, mode])


def new_attribute(graph):
    node_of(graph, "RegionConv").attribute.append(helper.make_attribute("groups", 2))


def new_input(graph):
    node_of(graph, "Relu").input.append("rho")


def other_layout(graph):
    for attribute in node_of(graph, "RegionConv").attribute:
        if attribute.name == "weight_layout":
            attribute.i = 0


def relu_of_rows(graph):
    rows = node_of(graph, "RegionGather").output[0]
    graph.node.insert(len(graph.node), helper.make_node("Relu", [rows], ["leak"], name="leak"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename_relu, r"node 'stage1/0/relu' \(Softplus\): no such operator"),
        (rename_pool, r"node 'stage3/enter/0' \(lc_trt.RegionShrink\): no region operator"),
        (round_up, r"\(MaxPool\): its ceil_mode is 1, expected 0"),
        (align_corners, r"\(Resize\): its coordinate_.* is 'align_corners', expected 'half_pixel'"),
        (new_attribute, r"\(lc_trt.RegionConv\): its attribute 'groups' is not supported"),
        (new_input, r"node 'stage1/0/relu' \(Relu\): its input 'rho' is not supported"),
        (other_layout, r"\(lc_trt.RegionConv\): its weight_layout is 0, expected 1"),
        (relu_of_rows, r"node 'leak' \(Relu\): reads 'stage2/enter', rows of a region"),
    ],
)
def test_unknown_nodes_are_refused_by_name(kernels, change, message):
    with pytest.raises(LcTrtError, match=message):
        Executor(edited(change), kernels, "plain")


def test_a_symbolic_size_is_refused(kernels):
    with pytest.raises(LcTrtError, match="input 'image' has a symbolic size"):
        Executor(lower(tiny_model(), None, None, "float32"), kernels, "plain")


# --- what it makes of a graph --------------------------------------------------------------------


def test_sums_and_relus_join_the_convolution_before_them(kernels):
    """Head 1 of aspp is a sum of five convolutions; a residual block ends with a sum and a ReLU."""
    model = lower(tiny_model("irnet", "aspp"), SIZE, BATCH, "float32")
    steps = {step.name: step for step in Executor(model, kernels, "plain").steps}
    first, *others = (steps[f"head1/3/branch{i}/conv"] for i in range(5))
    assert not first.run.other and not first.run.relu
    for before, conv in zip([first, *others], others, strict=False):
        assert conv.run.other and not conv.run.relu
        assert conv.reads[-1] == before.writes[0]
    project = steps["stage1/6/project/conv"]
    assert project.run.other and project.run.relu
    assert project.writes == ("stage1/6/relu",)
    assert not {step.operator for step in steps.values()} & {"Relu"}
    assert [step.operator for step in steps.values()].count("Add") == 2  # the map of stages


def test_nodes_with_two_readers_are_not_fused(kernels):
    def read_again(graph):
        conv = node_of(graph, "Conv")
        graph.output.append(helper.make_empty_tensor_value_info(conv.output[0]))

    names = {step.name for step in Executor(edited(read_again), kernels, "plain").steps}
    assert "stage1/0/relu" in names
    assert "stage1/1/relu" not in names


def test_the_fused_form_asks_cudnn_for_the_same(kernels, monkeypatch):
    """Its arguments, on a CPU: cuDNN's two functions, written with torch's."""

    def conv(x, weight, bias, stride, padding, dilation, groups):
        y = torch.nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return y.relu()

    def conv_add(x, weight, z, alpha, bias, stride, padding, dilation, groups):
        y = torch.nn.functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return (y + alpha * z).relu()

    monkeypatch.setattr(torch, "cudnn_convolution_relu", conv)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", conv_add)
    model = lower(tiny_model("irnet", "aspp"), SIZE, BATCH, "float32")
    plain, fused = (put(executor(model, kernels, form), FULL)() for form in ("plain", "fused"))
    torch.testing.assert_close(
        fused[probabilities_of(model.graph.node)], plain[probabilities_of(model.graph.node)]
    )


def test_memory_is_allocated_once_and_used_again(kernels):
    model = lower(tiny_model("irnet", "plain"), SIZE, BATCH, "float32")
    cascade = executor(model, kernels)
    pointers = [buffer.data_ptr() for buffer in cascade.buffers.values()]
    assert len(set(pointers)) <= len(pointers) / 2
    put(cascade, FULL)()
    assert pointers == [buffer.data_ptr() for buffer in cascade.buffers.values()]
    for conv in cascade.convs:
        read = {x.data_ptr() for x, _, _ in conv.x}
        read |= set() if conv.residual is None else {conv.residual.data_ptr()}
        assert conv.y.data_ptr() not in read


def test_tuning_takes_the_fastest_tactic(kernels, fake_backend):
    model = lower(tiny_model("irnet", "plain"), SIZE, BATCH, "float16")
    cascade = put(executor(model, kernels), EMPTY)  # no rows: the emulator has little to do
    tactics = kernels.tactics(torch.float16)
    order = [float(tactics - t) if t != 2 else 0.5 for t in range(tactics)] * 999
    chosen = tune(cascade, fake_backend(iter(order)))
    assert set(chosen) == {n.name for n in model.graph.node if n.op_type == "RegionConv"}
    assert {conv.tactic for conv in cascade.convs} == set(chosen.values()) == {3}
