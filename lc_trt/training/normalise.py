"""Converts images to the input of a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lc_trt.training.batches import Image


class Normalise:
    """Subtracts a mean and divides by a standard deviation, per channel.

    Args:
        mean: BGR, in units of 0..255.
        std: likewise.
        device: torch device of the result.
        rgb: reverse the channels afterwards, for a network that takes RGB.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        device: str = "cpu",
        rgb: bool = False,
    ) -> None:
        self._device, self._rgb = device, rgb
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    def __call__(self, image: Image) -> Tensor:
        """Convert images.

        Args:
            image: BGR, uint8 [N, H, W, 3].

        Returns:
            float [N, 3, H, W], BGR, or RGB with ``rgb``.
        """
        x = torch.from_numpy(np.ascontiguousarray(image)).to(self._device)
        x = (x.permute(0, 3, 1, 2).float() - self._mean) / self._std
        return x.flip(1) if self._rgb else x
