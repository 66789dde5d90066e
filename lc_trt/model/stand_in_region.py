"""A published cascade whose neighbours outside a region read linear stand-ins instead of 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from lc_trt.model.cascade import Cascade
from lc_trt.model.region import CompactRegion, RegionForm
from lc_trt.model.stand_in import RidgeRegression


class StandInRegion(CompactRegion):
    """A region whose convolutions read a map of their own at neighbours outside it.

    Args:
        hard: bool [N, 1, H, W], true inside the region.
        maps: for each convolution of more than one pixel, float [N, Cin, H, W].
    """

    def __init__(self, hard: Tensor, maps: Mapping[nn.Conv2d, Tensor]) -> None:
        super().__init__(hard)
        self._maps = maps

    @override
    def conv(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        if conv.kernel_size == (1, 1):
            return super().conv(x, conv)
        return self.conv_map(self.scatter(x, self._maps[conv]), conv)

    @override
    def max_pool(self, x: Tensor, kernel: int, dilation: int) -> Tensor:
        raise NotImplementedError("pooling has no stand-in")


class CascadeStandIns:
    """Stand-ins for the inputs of all spatial convolutions of stages 2 and 3 and their heads.

    Each is a 1x1 convolution of stage 1's features, fitted to what the convolution reads where all
    pixels go on.

    Args:
        model: a cascade without pooling in stages 2 and 3.
    """

    def __init__(self, model: Cascade) -> None:
        self.model = model
        self.convs = [
            module
            for part in (*model.stages[1:], *model.heads[1:])
            for module in part.modules()
            if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)
        ]
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None

    @torch.no_grad()
    def fit(self, images: Iterable[Tensor]) -> float:
        """Fit to the network's own activations.

        Args:
            images: normalised BGR images, float [N, 3, H, W] each.

        Returns:
            The share of the activations' variance that the stand-ins explain.
        """
        inputs: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            (inputs[module],) = arguments

        hooks = [conv.register_forward_pre_hook(keep) for conv in self.convs]
        fit: RidgeRegression | None = None
        try:
            for x in images:
                _, (features,) = self.model.trunk(x)
                self.model.later((features,))
                fit = fit or RidgeRegression(features.shape[1], sum(self._channels))
                fit.add(features, torch.cat([inputs[conv] for conv in self.convs], 1))
        finally:
            for hook in hooks:
                hook.remove()
        if fit is None:
            raise ValueError("no image to fit to")
        self._weight, self._bias, explained = fit.solve()
        return explained

    @property
    def _channels(self) -> list[int]:
        return [conv.in_channels for conv in self.convs]

    def region(self, features: Tensor) -> RegionForm:
        """The form of regions that reads the stand-ins of some images.

        Args:
            features: of stage 1, float [N, C, h, w].

        Raises:
            ValueError: nothing was fitted.
        """
        if self._weight is None:
            raise ValueError("stand-ins without weights: call fit first")
        maps = functional.conv2d(features, self._weight[:, :, None, None], self._bias)
        split = maps.split_with_sizes(self._channels, 1)
        return partial(StandInRegion, maps=dict(zip(self.convs, split, strict=True)))
