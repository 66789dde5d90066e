"""PIDNet-S against the figures of its paper, and its modules against their formulas."""

import pytest
import torch
from network_costs import conv_macs, inference_parameters
from torch.nn import functional

from lc_trt.model.baselines.pidnet import (
    BoundaryFusion,
    ParallelPyramid,
    PixelAttention,
    pidnet_s,
)


def test_parameters_and_operations_are_the_published_ones():
    with torch.device("meta"):
        model = pidnet_s(19)
    assert inference_parameters(model) == 7_625_651
    assert round(inference_parameters(model) / 1e6, 1) == 7.6
    # Published: 47.6 G at 1024x2048, of more than the convolutions.
    assert conv_macs(lambda: pidnet_s(19), (1024, 2048)) == pytest.approx(47.6e9, rel=0.01)


def embedded(conv, x):
    return conv.bn(functional.conv2d(x, conv.conv.weight))


def test_attention_is_the_product_of_the_embeddings():
    torch.manual_seed(0)
    attention = PixelAttention(6, 4).eval()
    detail, context = torch.randn(2, 6, 8, 10), torch.randn(2, 6, 8, 10)
    with torch.no_grad():
        product = embedded(attention.detail, detail) * embedded(attention.context, context)
        share = 1 / (1 + (-product.sum(1, keepdim=True)).exp())
        expected = detail + share * (context - detail)
        torch.testing.assert_close(attention(detail, context), expected)
        smaller = torch.randn(2, 6, 4, 5)
        assert attention(detail, smaller).shape == detail.shape


def test_fusion_takes_context_outside_boundaries_and_detail_on_them():
    torch.manual_seed(0)
    fusion = BoundaryFusion(4).eval()
    detail, context = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)
    sure = torch.full((1, 4, 3, 3), 50.0)
    with torch.no_grad():
        on, off = fusion(detail, context, sure), fusion(detail, context, -sure)
        of_detail, of_context = fusion.detail, fusion.context
        torch.testing.assert_close(on, of_detail(detail) + of_context(context + detail))
        torch.testing.assert_close(off, of_detail(context + detail) + of_context(context))


def test_the_pyramid_adds_the_unpooled_branch_to_each():
    torch.manual_seed(0)
    pyramid = ParallelPyramid(8, 4, 6).eval()
    assert pyramid.process.conv.groups == 4
    x = torch.randn(2, 8, 5, 7)
    with torch.no_grad():
        assert pyramid(x).shape == (2, 6, 5, 7)
        for branch in pyramid.pooled:  # what is pooled has no effect, if it is multiplied by 0
            torch.nn.init.zeros_(branch[1].conv.weight)
        unpooled = pyramid.unpooled(x)
        joined = torch.cat([unpooled, pyramid.process(torch.cat([unpooled] * 4, 1))], 1)
        expected = pyramid.compress(joined) + pyramid.shortcut(x)
        torch.testing.assert_close(pyramid(x), expected)
