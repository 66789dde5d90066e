"""Spatial convolutions of one map, and pointwise layers on all that they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from lc_trt.model.layers import Chain, Conv
from lc_trt.model.region import Region


class SpatialMix(nn.Module):
    """Spatial convolutions of a dense map, joined with pointwise inputs and mixed pointwise.

    Args:
        cin: channels of the dense map that the spatial convolutions read.
        spatial: their output channels.
        dilations: one 3x3 convolution each.
        joined: channels of the pointwise inputs.
        cout: output channels.
        reads_map: whether a region's spatial convolutions read a dense map; if not, they read the
            region's own features, and 0 outside.
    """

    def __init__(
        self,
        cin: int,
        spatial: int,
        dilations: Sequence[int],
        joined: int,
        cout: int,
        *,
        reads_map: bool,
    ) -> None:
        super().__init__()
        self.reads_map = reads_map
        self.spatial = nn.ModuleList(Conv(cin, spatial, 3, dilation=d) for d in dilations)
        self.mix = Chain([Conv(len(dilations) * spatial + joined, cout), Conv(cout, cout)])

    @override
    def forward(self, x: Tensor, joined: Sequence[Tensor], region: Region | None = None) -> Tensor:
        """Mix.

        Args:
            x: dense map, [N, cin, H, W]; features of the region if there is one and ``reads_map``
                is false.
            joined: features of the region, or dense maps without one.
            region: where to compute; None for everywhere.

        Returns:
            Features of the region, or a dense map.
        """
        convs = cast("list[Conv]", list(self.spatial))
        if region is not None and self.reads_map:
            spatial = [conv.at(x, region) for conv in convs]
        else:
            spatial = [conv(x, region) for conv in convs]
        mixed: Tensor = self.mix(torch.cat([*spatial, *joined], 1), region)
        return mixed
