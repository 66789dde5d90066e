"""Spatial convolutions of a map or of a region's rows, mixed with pointwise inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lc_trt.model.region import CompactRegion, MaskedRegion, Region
from lc_trt.model.spatial_mix import SpatialMix


@pytest.fixture
def hard() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 1, 7, 9) < 0.4


def mix(reads_map: bool) -> SpatialMix:
    torch.manual_seed(1)
    return SpatialMix(4, 3, (1, 2), 5, 6, reads_map=reads_map).eval()


def inside(x: Tensor, region: Region) -> Tensor:
    """Rows of a region's features in either form."""
    return x if isinstance(region, CompactRegion) else CompactRegion(region.hard).gather(x)


@pytest.mark.parametrize("form", [CompactRegion, MaskedRegion])
@pytest.mark.parametrize("reads_map", [True, False])
@torch.inference_mode()
def test_outside_the_region_it_reads_the_map_or_zeros(
    hard: Tensor, form: type[Region], reads_map: bool
) -> None:
    module, region = mix(reads_map), form(hard)
    x, joined = torch.randn(2, 4, 7, 9), torch.randn(2, 5, 7, 9)
    source = x if reads_map else region.gather(x)
    found = module(source, [region.gather(joined)], region)
    seen = x if reads_map else torch.where(hard, x, 0)
    expected = CompactRegion(hard).gather(module(seen, [joined]))
    torch.testing.assert_close(inside(found, region), expected)


@torch.inference_mode()
def test_every_dilation_and_input_counts() -> None:
    module = mix(True)
    x, joined = torch.randn(1, 4, 9, 9), torch.randn(1, 5, 9, 9)
    before = module(x, [joined])
    assert before.shape == (1, 6, 9, 9)
    for dy in (0, 1, 2):
        moved = x.clone()
        moved[:, :, 4 + dy, 4] += 3
        assert not torch.allclose(module(moved, [joined])[..., 4, 4], before[..., 4, 4])
    far = x.clone()
    far[:, :, 7, 4] += 3
    torch.testing.assert_close(module(far, [joined])[..., 4, 4], before[..., 4, 4])
    assert not torch.allclose(module(x, [joined + 1])[..., 4, 4], before[..., 4, 4])
