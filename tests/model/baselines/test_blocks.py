"""The blocks of PIDNet and DDRNet against torch's own functions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from lc_trt.model.baselines.blocks import (
    POOLS,
    NormReluConv,
    SegmentationHead,
    basic_block,
    basic_stage,
    bottleneck,
    pooled_branches,
    resize_to,
    stem,
)


def statistics(bn):
    """Make a batch norm that is not the identity."""
    for values in (bn.weight, bn.bias, bn.running_mean, bn.running_var):
        torch.nn.init.uniform_(values, 0.5, 1.5)


def normed(x, bn):
    shape = (1, -1, 1, 1)
    y = (x - bn.running_mean.view(shape)) / (bn.running_var.view(shape) + bn.eps).sqrt()
    return y * bn.weight.view(shape) + bn.bias.view(shape)


@given(kernel=st.sampled_from((1, 3)), groups=st.sampled_from((1, 2)), size=st.integers(1, 9))
def test_the_activation_precedes_the_convolution(kernel, groups, size):
    block = NormReluConv(4, 6, kernel, groups=groups).eval()
    statistics(block.bn)
    x = torch.randn(2, 4, size, size + 1)
    with torch.no_grad():
        expected = functional.conv2d(
            normed(x, block.bn).clamp(min=0), block.conv.weight, padding=kernel // 2, groups=groups
        )
        torch.testing.assert_close(block(x), expected)


def test_the_head_has_one_bias_and_no_last_activation():
    head = SegmentationHead(4, 8, 3).eval()
    assert [key for key in head.state_dict() if key.endswith("conv.bias")] == [
        "classifier.conv.bias"
    ]
    assert sum(p.numel() for p in head.parameters()) == 2 * 4 + 8 * 4 * 9 + 2 * 8 + 3 * 8 + 3
    with torch.no_grad():
        assert head(torch.randn(1, 4, 16, 16)).min() < 0


@pytest.mark.parametrize("stride", [1, 2])
def test_only_the_last_block_of_a_stage_has_no_activation(stride):
    torch.manual_seed(0)
    stage = basic_stage(4, 8, 3, stride=stride).eval()
    assert [block.relu for block in stage] == [True, True, False]
    assert [block.shortcut is not None for block in stage] == [True, False, False]
    with torch.no_grad():
        y = stage(torch.randn(1, 4, 9, 13))
    assert tuple(y.shape) == ((1, 8, 9, 13) if stride == 1 else (1, 8, 5, 7))
    assert y.min() < 0


@pytest.mark.parametrize("block", [basic_block(8, 8, relu=False), bottleneck(8, 4)])
def test_a_block_adds_its_input(block):
    torch.nn.init.zeros_(block.eval().project.conv.weight)
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(block(x), x)


def test_a_bottleneck_doubles_its_channels():
    block = bottleneck(6, 4, stride=2).eval()
    with torch.no_grad():
        y = block(torch.randn(2, 6, 9, 9))
    assert tuple(y.shape) == (2, 8, 5, 5) and y.min() < 0


def test_the_stem_divides_the_size_by_4():
    with torch.no_grad():
        y = stem(4).eval()(torch.randn(1, 3, 30, 41))
    assert tuple(y.shape) == (1, 4, 8, 11) and y.min() >= 0


def test_the_pools_average_with_zeros_around():
    branches = pooled_branches(2, 2).eval()
    x = torch.randn(1, 2, 12, 20)
    for branch, (kernel, stride) in zip(branches, POOLS, strict=False):
        padding = kernel // 2
        padded = functional.pad(x, (padding,) * 4)
        windows = padded.unfold(2, kernel, stride).unfold(3, kernel, stride)
        torch.testing.assert_close(branch[0](x), windows.mean((4, 5)))
        assert stride == kernel // 2
    torch.testing.assert_close(branches[3][0](x), x.mean((2, 3), keepdim=True))


@given(h=st.integers(1, 9), w=st.integers(1, 9))
def test_resizing_follows_the_reference(h, w):
    x, reference = torch.randn(2, 3, 4, 5), torch.zeros(1, 7, h, w)
    y = resize_to(x, reference)
    assert tuple(y.shape) == (2, 3, h, w)
    if (h, w) == (4, 5):
        torch.testing.assert_close(y, x)
    assert y.max() <= x.max() and y.min() >= x.min()
