"""Regions, the pixels that a stage has to compute, and operators restricted to them.

Two implementations of one interface:

* `CompactRegion` stores features as rows, one per pixel of the region ([R, C]). A k x k convolution
  gathers the rows of each window and multiplies once; a 1x1 convolution gathers nothing. Used in
  training and for export.
* `MaskedRegion` stores dense maps that are zero outside the region. It computes every pixel: the
  reference that the compact form is tested against.

In both, a neighbour outside the region or the image reads 0, and the result is defined at the
region's pixels only (region convolution in X. Li et al., CVPR 2017).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


def repeat_children(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a map to half its stride: every pixel's value goes to its four children.

    Args:
        x: [N, C, ceil(H/2), ceil(W/2)], any dtype.
        size: (H, W).

    Returns:
        [N, C, H, W].
    """
    y = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return y[:, :, : size[0], : size[1]]


class Region(abc.ABC):
    """A set of pixels and the operators restricted to them.

    Args:
        hard: bool [N, 1, H, W], true inside the region.

    Raises:
        ValueError: another type or shape.
    """

    def __init__(self, hard: Tensor) -> None:
        if hard.dim() != 4 or hard.shape[1] != 1 or hard.dtype != torch.bool:
            raise ValueError(
                f"region of {hard.dtype} {tuple(hard.shape)}, expected bool [N, 1, H, W]"
            )
        self.hard = hard

    @abc.abstractmethod
    def gather(self, x: Tensor) -> Tensor:
        """Features of the region from a dense map.

        Args:
            x: dense map, [N, C, H, W].
        """

    @abc.abstractmethod
    def restrict(self, x: Tensor, previous: Region) -> Tensor:
        """Features of this region from those of a larger region.

        Args:
            x: features of ``previous``.
            previous: a region that contains this one.
        """

    @abc.abstractmethod
    def scatter(self, x: Tensor, base: Tensor) -> Tensor:
        """A dense map with the pixels of the region replaced.

        Args:
            x: features of the region.
            base: dense map, [N, C, H, W].
        """

    @abc.abstractmethod
    def conv(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        """Region convolution with stride 1.

        Args:
            x: features of the region.
            conv: supplies weights and dilation.
        """

    @abc.abstractmethod
    def conv_map(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        """Convolution with stride 1 of a dense map, at the region's pixels only.

        A neighbour outside the region reads the map's value, one outside the image 0.

        Args:
            x: dense map, [N, C, H, W].
            conv: supplies weights and dilation.
        """

    @abc.abstractmethod
    def children(self, x: Tensor, parent: Region) -> Tensor:
        """Features of this region from those of a region at twice the stride.

        Args:
            x: features of ``parent``.
            parent: a region whose map is ceil(H/2) x ceil(W/2), and which contains the parent, the
                pixel (y // 2, x // 2), of every pixel of this region.
        """

    @abc.abstractmethod
    def max_pool(self, x: Tensor, kernel: int, dilation: int) -> Tensor:
        """Max pooling; a missing neighbour reads 0, since features follow a ReLU.

        Args:
            x: features of the region.
            kernel: side of the window, in pixels.
            dilation: distance of its pixels.
        """

    @abc.abstractmethod
    def zero_outside(self, x: Tensor) -> Tensor:
        """Set values outside the region to 0 again, after an operation with a bias (batch norm).

        Args:
            x: features of the region.
        """


RegionForm: TypeAlias = Callable[[Tensor], Region]
"""An implementation of region operators, called with ``hard``."""


class CompactRegion(Region):
    """Stores features as rows, [R, C]; row r is the pixel at flat index ``rows[r]`` of N*H*W."""

    def __init__(self, hard: Tensor) -> None:
        super().__init__(hard)
        flat = hard.reshape(-1)
        self.rows = flat.nonzero().squeeze(1)
        # row + 1 inside the region, 0 outside
        self.index = torch.where(flat, flat.cumsum(0), 0)
        self._tables: dict[tuple[int, ...], Tensor] = {}

    def neighbours(
        self, kernel: tuple[int, int], dilation: tuple[int, int], *, everywhere: bool = False
    ) -> Tensor:
        """Look up the rows of each window.

        Args:
            kernel: (height, width).
            dilation: (height, width).
            everywhere: of windows on all pixels of the map instead of the region's.

        Returns:
            int64 [R, kh * kw]: row + 1 of each window position, 0 where the neighbour is missing.
        """
        key = (*kernel, *dilation, everywhere)
        if key not in self._tables:
            n, _, h, w = self.hard.shape
            (kh, kw), (dh, dw) = kernel, dilation
            ph, pw = dh * (kh // 2), dw * (kw // 2)
            index = self.index
            if everywhere:
                index = torch.arange(1, index.numel() + 1, device=index.device)
            padded = functional.pad(index.view(n, h, w), (pw, pw, ph, ph))
            hp, wp = h + 2 * ph, w + 2 * pw
            image, rest = self.rows // (h * w), self.rows % (h * w)
            corner = image * (hp * wp) + (rest // w) * wp + rest % w
            dy = torch.arange(kh, device=corner.device) * dh
            dx = torch.arange(kw, device=corner.device) * dw
            offsets = (dy[:, None] * wp + dx[None, :]).reshape(-1)
            self._tables[key] = padded.reshape(-1)[corner[:, None] + offsets[None, :]]
        return self._tables[key]

    def _windows(
        self,
        x: Tensor,
        kernel: tuple[int, int],
        dilation: tuple[int, int],
        *,
        everywhere: bool = False,
    ) -> Tensor:
        table = self.neighbours(kernel, dilation, everywhere=everywhere)
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
    def children(self, x: Tensor, parent: Region) -> Tensor:
        if not isinstance(parent, CompactRegion):
            raise TypeError(f"expected a CompactRegion, got {type(parent).__name__}")
        n, _, h, w = self.hard.shape
        index = parent.index.view(n, *parent.hard.shape[2:])
        index = repeat_children(index[:, None], (h, w)).reshape(-1)
        return x.index_select(0, index[self.rows] - 1)

    @override
    def conv(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        return self._product(x, conv, everywhere=False)

    @override
    def conv_map(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        if conv.kernel_size == (1, 1):
            return self._product(self.gather(x), conv, everywhere=False)
        rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        return self._product(rows, conv, everywhere=True)

    def _product(self, x: Tensor, conv: nn.Conv2d, *, everywhere: bool) -> Tensor:
        kernel = (conv.kernel_size[0], conv.kernel_size[1])
        dilation = (conv.dilation[0], conv.dilation[1])
        if kernel == (1, 1):
            return functional.linear(x, conv.weight.flatten(1), conv.bias)
        windows = self._windows(x, kernel, dilation, everywhere=everywhere).flatten(1)
        return functional.linear(windows, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)

    @override
    def max_pool(self, x: Tensor, kernel: int, dilation: int) -> Tensor:
        return self._windows(x, (kernel, kernel), (dilation, dilation)).amax(1)

    @override
    def zero_outside(self, x: Tensor) -> Tensor:
        return x


class MaskedRegion(Region):
    """Stores dense maps, zero outside the region: the reference implementation."""

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
    def children(self, x: Tensor, parent: Region) -> Tensor:
        return self._mask(repeat_children(x, (self.hard.shape[2], self.hard.shape[3])))

    @override
    def conv(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        return self._mask(conv(x))

    @override
    def conv_map(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        return self._mask(conv(x))

    @override
    def max_pool(self, x: Tensor, kernel: int, dilation: int) -> Tensor:
        padding = dilation * (kernel // 2)
        padded = functional.pad(x, (padding,) * 4)  # zeros, unlike max_pool2d's own padding
        return self._mask(functional.max_pool2d(padded, kernel, 1, dilation=dilation))

    @override
    def zero_outside(self, x: Tensor) -> Tensor:
        return self._mask(x)
