"""DDRNet-23-slim against the figures of its paper, and its pyramid against the formula."""

import pytest
import torch
from network_costs import conv_macs, inference_parameters

from lc_trt.model.baselines.ddrnet import HierarchicalPyramid, ddrnet_23_slim


def test_parameters_and_operations_are_the_published_ones():
    with torch.device("meta"):
        model = ddrnet_23_slim(19)
    assert inference_parameters(model) == 5_695_923
    assert round(inference_parameters(model) / 1e6, 1) == 5.7
    # Published: 36.3 G at 1024x2048.
    assert conv_macs(lambda: ddrnet_23_slim(19), (1024, 2048)) == pytest.approx(36.3e9, rel=0.01)


def test_each_branch_of_the_pyramid_reads_the_one_before():
    torch.manual_seed(0)
    pyramid = HierarchicalPyramid(8, 4, 6).eval()
    x = torch.randn(2, 8, 5, 7)
    with torch.no_grad():
        assert pyramid(x).shape == (2, 6, 5, 7)
        for branch in pyramid.pooled:  # what is pooled has no effect, if it is multiplied by 0
            torch.nn.init.zeros_(branch[1].conv.weight)
        features = [pyramid.unpooled(x)]
        for process in pyramid.process:
            features.append(process(features[-1]))
        expected = pyramid.compress(torch.cat(features, 1)) + pyramid.shortcut(x)
        torch.testing.assert_close(pyramid(x), expected)
