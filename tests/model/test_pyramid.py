"""The pyramid, against its definition written out."""

from __future__ import annotations

import torch
from torch.nn import functional

from lc_trt.model.pyramid import Pyramid, resize_to


def test_each_level_adds_the_upsampled_coarser_one() -> None:
    torch.manual_seed(0)
    pyramid = Pyramid((4, 6), 8).eval()
    fine, coarse = torch.randn(2, 4, 9, 13), torch.randn(2, 6, 5, 7)
    with torch.inference_mode():
        top = functional.relu(
            pyramid.laterals[1](coarse) + pyramid.average(coarse.mean((2, 3), keepdim=True))
        )
        total = pyramid.laterals[0](fine) + resize_to(top, fine)
        expected = pyramid.smooth[0](functional.relu(total))
        torch.testing.assert_close(pyramid((fine, coarse)), expected)


def test_resizing_to_twice_the_size_is_bilinear_with_half_pixel_centers() -> None:
    x = torch.tensor([[[[0.0, 4.0]]]])
    y = resize_to(x, torch.zeros(1, 1, 1, 4))
    assert y.flatten().tolist() == [0.0, 1.0, 3.0, 4.0]
