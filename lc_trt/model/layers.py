"""Layers that run on a dense map or on the features of a region.

The input of ``forward(x, region=None)`` depends on ``region``:

* None: ``x`` is a dense map, float [N, C, H, W];
* a `Region`: ``x`` are that region's features, float [R, C] for `CompactRegion`, a masked
  [N, C, H, W] map for `MaskedRegion`.

Channels are axis 1 in every form, so concatenation, batch normalisation and activations need no
special case.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

if TYPE_CHECKING:
    from lc_trt.model.region import Region

_GRADIENT_BLOCK = 16  # channels
EPSILON = 1e-3  # what the public Inception-ResNet-v2 and EfficientNet weights were trained with


class BatchNorm(nn.Module):
    """Batch normalisation over axis 1 of [N, C, H, W] or [R, C].

    Unlike torch's class it has no step counter, which published weight files may lack: its state
    is four values per channel.

    Args:
        channels: number of channels.
        eps: added to the variance.
    """

    momentum = 0.1
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = EPSILON) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @override
    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )


def freeze_batch_norm(model: nn.Module) -> None:
    """Make batch norm use its running statistics without updating them.

    Args:
        model: changed in place; ``model.train()`` undoes it.
    """
    for module in model.modules():
        # Networks of other projects have torch's own.
        if isinstance(module, (BatchNorm, nn.modules.batchnorm._BatchNorm)):
            module.eval()


class Conv(nn.Module):
    """Convolution with optional batch norm and ReLU, padded to keep the size.

    Args:
        cin: input channels.
        cout: output channels.
        kernel: (height, width), both odd, or one number for both.
        stride: 1 or 2; the region form needs 1.
        dilation: on both axes.
        groups: of channels; the region form needs 1.
        norm: whether batch norm follows; if not, the convolution has a bias.
        relu: whether a ReLU follows.
        ceiling: upper bound of the ReLU: 6 for ReLU6, None for no bound.
        same_upper: pad a strided convolution as TensorFlow's SAME does: the odd pixel goes after.
        eps: of the batch norm.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: tuple[int, int] | int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        norm: bool = True,
        relu: bool = True,
        ceiling: float | None = None,
        same_upper: bool = False,
        eps: float = EPSILON,
    ) -> None:
        super().__init__()
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        # Dilation has no effect on an axis of kernel size 1; export 1 there.
        dilations = (dilation if kh > 1 else 1, dilation if kw > 1 else 1)
        self.conv = nn.Conv2d(
            cin,
            cout,
            (kh, kw),
            stride=stride,
            padding=(dilations[0] * (kh // 2), dilations[1] * (kw // 2)),
            dilation=dilations,
            groups=groups,
            bias=not norm,
        )
        self.bn = BatchNorm(cout, eps) if norm else None
        self.relu, self.ceiling = relu, ceiling
        self.same_upper = same_upper and stride > 1  # at stride 1 both paddings are the same

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        if region is None:
            y = self._same_upper(x) if self.same_upper else _convolve(x, self.conv)
        else:
            self._check_region_form()
            y = region.conv(x, self.conv)
        return self._finish(y, region)

    def at(self, x: Tensor, region: Region) -> Tensor:
        """The convolution of a dense map, computed at a region's pixels only.

        Unlike ``forward(rows, region)`` it reads the map's own values outside the region, not 0.

        Args:
            x: dense map, [N, C, H, W].
            region: where to compute.

        Returns:
            Features of the region.
        """
        self._check_region_form()
        return self._finish(region.conv_map(x, self.conv), region)

    def _check_region_form(self) -> None:
        if self.conv.stride != (1, 1) or self.conv.groups != 1:
            raise ValueError(
                "a strided or grouped convolution has no region form: use it in stage 1 only"
            )

    def _finish(self, y: Tensor, region: Region | None) -> Tensor:
        if self.bn is not None:
            y = self.bn(y)
            if region is not None:
                y = region.zero_outside(y)
        if not self.relu:
            return y
        return functional.relu(y) if self.ceiling is None else y.clamp(0.0, self.ceiling)

    def _same_upper(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis in (1, 0):  # functional.pad wants the last axis first
            kernel, stride = self.conv.kernel_size[axis], self.conv.stride[axis]
            size = x.shape[2 + axis]
            total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            pads += [total // 2, total - total // 2]
        conv = self.conv
        return functional.conv2d(
            functional.pad(x, pads), conv.weight, conv.bias, conv.stride, 0, 1, conv.groups
        )


def _convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The convolution, with input channels filled up to whole blocks where a gradient needs it.

    In bf16 on CPUs with several threads, oneDNN (3.12, of torch 2.13) does not write the weight
    gradient of a dilated convolution for the input channels after the last whole block: they are
    what the memory held before, NaN or finite.
    """
    extra = -conv.in_channels % _GRADIENT_BLOCK
    affected = (
        extra
        and max(conv.dilation) > 1
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and (x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu"))
    )
    if not affected or conv.groups > 1:
        y: Tensor = conv(x)
        return y
    channels = (0, 0, 0, 0, 0, extra)  # functional.pad starts from the last axis
    return functional.conv2d(
        functional.pad(x, channels), functional.pad(conv.weight, channels), conv.bias,
        conv.stride, conv.padding, conv.dilation,
    )  # fmt: skip


class MaxPool(nn.Module):
    """3x3 max pooling, padded to keep the size (at stride 1).

    The input follows a ReLU, so padding with 0 is equivalent to padding with -inf; the region form
    reads 0 for a missing neighbour.

    Args:
        stride: 1 or 2; the region form needs 1.
        dilation: on both axes.
    """

    def __init__(self, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation = 3, stride, dilation

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        if region is not None:
            return region.max_pool(x, self.kernel, self.dilation)
        padding = self.dilation
        if padding > 1:  # max_pool2d pads by at most half the kernel size, ignoring dilation
            x, padding = functional.pad(x, (padding,) * 4), 0
        return functional.max_pool2d(
            x, self.kernel, self.stride, padding=padding, dilation=self.dilation
        )


class AveragePool(nn.Module):
    """3x3 average pooling at stride 1 that excludes padding, as in Inception; stage 1 only."""

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        if region is not None:
            raise ValueError("average pooling has no region form: use it in stage 1 only")
        return functional.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)


class Chain(nn.ModuleList):
    """Modules in sequence."""

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        for module in self:
            x = module(x, region)
        return x


class Concat(nn.Module):
    """Parallel branches, concatenated over channels.

    Args:
        branches: modules that take the same input.
        identity: append the input itself.
    """

    def __init__(self, branches: Iterable[nn.Module], *, identity: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.identity = identity

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        outputs = [branch(x, region) for branch in self.branches]
        return torch.cat([*outputs, x] if self.identity else outputs, dim=1)


class Residual(nn.Module):
    """Residual block: ``relu(shortcut(x) + scale * project(branches(x)))``.

    Args:
        branches: the residual function.
        project: maps its output to the channels of the sum.
        scale: factor on the projection.
        relu: whether a ReLU follows.
        shortcut: projection of the input where the channels change; None for the identity.
    """

    def __init__(
        self,
        branches: nn.Module,
        project: Conv,
        *,
        scale: float,
        relu: bool = True,
        shortcut: Conv | None = None,
    ) -> None:
        super().__init__()
        self.branches, self.project, self.shortcut = branches, project, shortcut
        self.scale, self.relu = scale, relu

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        branch = self.project(self.branches(x, region), region)
        if self.shortcut is not None:
            x = self.shortcut(x, region)
        y = torch.add(x, branch, alpha=self.scale)
        return functional.relu(y) if self.relu else y


class Sum(nn.Module):
    """The sum of parallel branches (ASPP: one dilation per branch).

    Args:
        branches: modules that take the same input.
    """

    def __init__(self, branches: Iterable[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        outputs = [branch(x, region) for branch in self.branches]
        total: Tensor = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total


class Dropout(nn.Module):
    """Dropout in training; the identity at inference.

    Args:
        p: probability of zeroing a value.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @override
    def forward(self, x: Tensor, region: Region | None = None) -> Tensor:
        return functional.dropout(x, self.p, self.training)


class Upsample(nn.Module):
    """Bilinear upsampling with half-pixel centers, cropped to a size.

    Args:
        factor: integer scale factor.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    @override
    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        y = functional.interpolate(
            x, scale_factor=self.factor, mode="bilinear", align_corners=False
        )
        return y[:, :, : size[0], : size[1]]


def double(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear upsampling to exactly twice the size, cropped to another map's: see `Upsample`.

    Args:
        x: [N, C, ceil(H/2), ceil(W/2)].
        like: any map of H x W.

    Returns:
        [N, C, H, W].
    """
    return Upsample(2).forward(x, (like.shape[2], like.shape[3]))
