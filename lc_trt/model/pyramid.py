"""Feature pyramid: brings the context of coarse features to a fine map (T.-Y. Lin et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from lc_trt.model.layers import Chain, Conv

KERNEL = 5  # of the depthwise convolutions


class Pyramid(nn.Module):
    """Top-down sums of lateral 1x1 convolutions, a separable convolution after each.

    The global average of the coarsest features is added at the top.

    Args:
        channels: of the features, finest first.
        width: output channels.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(Conv(c, width, relu=False) for c in channels)
        # No batch norm: one value per image and channel has no variance to speak of.
        self.average = Conv(channels[-1], width, norm=False)
        self.smooth = nn.ModuleList(
            Chain([Conv(width, width, KERNEL, groups=width), Conv(width, width)])
            for _ in channels[1:]
        )

    @override
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Merge features into one map at the finest stride.

        Args:
            features: float [N, C, h, w] per level, finest first.

        Returns:
            float [N, width, h, w] of the finest level.
        """
        coarse = features[-1]
        y = functional.relu(
            self.laterals[-1](coarse) + self.average(coarse.mean((2, 3), keepdim=True))
        )
        for i in reversed(range(len(features) - 1)):
            fine = self.laterals[i](features[i])
            y = self.smooth[i](functional.relu(fine + resize_to(y, fine)))
        return y


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear resize with half-pixel centers to another map's size.

    Args:
        x: float [N, C, h, w].
        like: [N, D, H, W].

    Returns:
        float [N, C, H, W].
    """
    return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)
