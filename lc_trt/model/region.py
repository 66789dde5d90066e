"""Regions: the pixels that a stage still has to compute, and convolution on them.

Two forms with one interface:

* `CompactRegion` keeps features as rows, one a hard pixel ([R, C]). A k x k
  convolution gathers the window's rows and multiplies once; a 1x1 convolution
  gathers nothing. This is what runs.
* `MaskedRegion` keeps dense maps that are zero outside the region. It computes
  every pixel and is the reference the compact form is tested against.

In both, a neighbour outside the region or the image reads 0, and the result is
defined at the region's positions only (paper: region convolution).
"""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


class Region(abc.ABC):
    """Pixels of a [N, 1, H, W] boolean map, and what can be done on them alone."""

    def __init__(self, hard: Tensor) -> None:
        if hard.dim() != 4 or hard.shape[1] != 1 or hard.dtype != torch.bool:
            raise ValueError(
                f"a region is a bool [N, 1, H, W] map; got {hard.dtype} {tuple(hard.shape)}"
            )
        self.hard = hard

    @abc.abstractmethod
    def gather(self, x: Tensor) -> Tensor:
        """Enter the region from a dense map [N, C, H, W]."""

    @abc.abstractmethod
    def restrict(self, x: Tensor, previous: Region) -> Tensor:
        """Narrow features of ``previous``, a region that contains this one, to this one."""

    @abc.abstractmethod
    def scatter(self, x: Tensor, base: Tensor) -> Tensor:
        """``base`` [N, C, H, W] with this region's pixels replaced by ``x``."""

    @abc.abstractmethod
    def conv(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        """Region convolution with the weights and dilation of ``conv`` (stride 1)."""

    @abc.abstractmethod
    def max_pool(self, x: Tensor, kernel: int, dilation: int) -> Tensor:
        """Max over the window; a missing neighbour reads 0 (features follow a ReLU)."""

    @abc.abstractmethod
    def keep(self, x: Tensor) -> Tensor:
        """Restore "outside is 0" after an operation that adds a constant (batch norm)."""


class CompactRegion(Region):
    """Features as rows [R, C]; row r is the pixel at flat position ``rows[r]`` of N*H*W."""

    def __init__(self, hard: Tensor) -> None:
        super().__init__(hard)
        flat = hard.reshape(-1)
        self.rows = flat.nonzero().squeeze(1)
        # row + 1 at a hard position and 0 elsewhere, so that 0 can stand for "missing"
        self.index = torch.where(flat, flat.cumsum(0), 0)
        self._tables: dict[tuple[int, ...], Tensor] = {}

    def neighbours(self, kernel: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
        """int64 [R, kh * kw]: row + 1 of each window position, 0 where there is none."""
        key = (*kernel, *dilation)
        if key not in self._tables:
            n, _, h, w = self.hard.shape
            (kh, kw), (dh, dw) = kernel, dilation
            ph, pw = dh * (kh // 2), dw * (kw // 2)
            padded = functional.pad(self.index.view(n, h, w), (pw, pw, ph, ph))
            hp, wp = h + 2 * ph, w + 2 * pw
            image, rest = self.rows // (h * w), self.rows % (h * w)
            corner = image * (hp * wp) + (rest // w) * wp + rest % w
            dy = torch.arange(kh, device=corner.device) * dh
            dx = torch.arange(kw, device=corner.device) * dw
            offsets = (dy[:, None] * wp + dx[None, :]).reshape(-1)
            self._tables[key] = padded.reshape(-1)[corner[:, None] + offsets[None, :]]
        return self._tables[key]

    def _windows(self, x: Tensor, kernel: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
        table = self.neighbours(kernel, dilation)
        with_zero = torch.cat([x.new_zeros(1, x.shape[1]), x])
        return with_zero.index_select(0, table.reshape(-1)).view(*table.shape, x.shape[1])

    @override
    def gather(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).index_select(0, self.rows)

    @override
    def restrict(self, x: Tensor, previous: Region) -> Tensor:
        if not isinstance(previous, CompactRegion):
            raise TypeError(f"expected a CompactRegion, got {type(previous).__name__}")
        return x.index_select(0, previous.index[self.rows] - 1)

    @override
    def scatter(self, x: Tensor, base: Tensor) -> Tensor:
        n, c, h, w = base.shape
        flat = base.permute(0, 2, 3, 1).reshape(-1, c)
        flat = flat.index_copy(0, self.rows, x.to(flat.dtype))
        return flat.view(n, h, w, c).permute(0, 3, 1, 2)

    @override
    def conv(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        kernel = (conv.kernel_size[0], conv.kernel_size[1])
        dilation = (conv.dilation[0], conv.dilation[1])
        if kernel == (1, 1):
            return functional.linear(x, conv.weight.flatten(1), conv.bias)
        weight = conv.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(self._windows(x, kernel, dilation).flatten(1), weight, conv.bias)

    @override
    def max_pool(self, x: Tensor, kernel: int, dilation: int) -> Tensor:
        return self._windows(x, (kernel, kernel), (dilation, dilation)).amax(1)

    @override
    def keep(self, x: Tensor) -> Tensor:
        return x


class MaskedRegion(Region):
    """Dense maps, zero outside the region: the plain reference."""

    def _mask(self, x: Tensor) -> Tensor:
        return torch.where(self.hard, x, torch.zeros_like(x))

    @override
    def gather(self, x: Tensor) -> Tensor:
        return self._mask(x)

    @override
    def restrict(self, x: Tensor, previous: Region) -> Tensor:
        return self._mask(x)

    @override
    def scatter(self, x: Tensor, base: Tensor) -> Tensor:
        return torch.where(self.hard, x, base)

    @override
    def conv(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        return self._mask(conv(x))

    @override
    def max_pool(self, x: Tensor, kernel: int, dilation: int) -> Tensor:
        padding = dilation * (kernel // 2)
        padded = functional.pad(x, (padding,) * 4)  # zeros, unlike max_pool2d's own padding
        return self._mask(functional.max_pool2d(padded, kernel, 1, dilation=dilation))

    @override
    def keep(self, x: Tensor) -> Tensor:
        return self._mask(x)
