"""The harness's kernels on torch tensors, on torch's stream."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
import plugin_harness
import torch
from torch import Tensor

NUMPY = {
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(ml_dtypes.bfloat16),
    torch.int8: np.dtype(np.int8),
    torch.int32: np.dtype(np.int32),
    torch.bool: np.dtype(np.bool_),
}
# Map layouts that the gather reads, by the required multiple of channels.
_CHANNELS_FIRST, _CHANNELS_LAST_8, _CHANNELS_LAST_16 = 0, 1, 2
_ROW_MAJOR_WEIGHTS = 1  # [Cout, kh, kw, Cin]


class View:
    """A contiguous tensor as an array for `plugin_harness`; keeps the tensor alive."""

    def __init__(self, tensor: Tensor) -> None:
        if not tensor.is_contiguous():
            raise ValueError(f"a kernel takes contiguous tensors, got strides {tensor.stride()}")
        self.tensor, self.shape = tensor, tuple(tensor.shape)
        self.dtype, self.pointer = NUMPY[tensor.dtype], tensor.data_ptr()


@dataclass
class Rows:
    """A region on the device, as `plugin_harness.Region`; ``shape`` is (N, H, W)."""

    rows_tensor: Tensor
    index_tensor: Tensor
    count_tensor: Tensor
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        self.rows, self.index = View(self.rows_tensor), View(self.index_tensor)
        self.count = View(self.count_tensor)
        self.map: Any = (ctypes.c_int32 * 3)(*self.shape)
        self.max_rows = self.rows_tensor.shape[0]

    @classmethod
    def empty(cls, shape: tuple[int, int, int], device: torch.device) -> Rows:
        """Allocate memory for any region of a map."""
        n, h, w = shape
        return cls(
            torch.zeros(n * h * w, dtype=torch.int32, device=device),
            torch.zeros(shape, dtype=torch.int32, device=device),
            torch.zeros(1, dtype=torch.int32, device=device),
            shape,
        )

    def numbered(self, index: Tensor) -> Rows:
        """The region with an index of the rows of something else.

        Args:
            index: int32 [N, H, W], row + 1.
        """
        return replace(self, index_tensor=index.contiguous())

    def set(self, mask: np.ndarray) -> None:
        """Set the region to a mask, bool [N, H, W], in the same memory."""
        described = plugin_harness.describe(mask)
        targets = (self.rows_tensor, self.index_tensor, self.count_tensor)
        for target, value in zip(targets, described, strict=True):
            target.copy_(torch.from_numpy(value))


@dataclass
class RegionConv:
    """A region convolution bound to its memory.

    Attributes:
        name: name of its node.
        x: rows [P, C], each with the first and end channel to read.
        region: region to compute, with the index of the rows of ``x``.
        weight: [Cout, kh, kw, Cin], which the kernel reads 16 bytes at a time.
        bias: [Cout].
        residual: [R, Cout]; None for none.
        y: [R, Cout].
        window: kernel height and width, dilation height and width.
        relu: whether ReLU is applied to ``y``.
        residual_scale: factor of the convolution and its bias.
        scales: for INT8, scales of the accumulators, float32 [Cout].
        residual_factor: for INT8, factor of the residual.
        tactic: variant of the kernel; 0 selects it heuristically.
    """

    name: str
    x: list[tuple[Tensor, int, int]]
    region: Rows
    weight: Tensor
    bias: Tensor
    residual: Tensor | None
    y: Tensor
    window: tuple[int, int, int, int]
    relu: bool
    residual_scale: float = 1.0
    scales: Tensor | None = None
    residual_factor: float = 1.0
    tactic: int = 0

    @property
    def shape(self) -> tuple[object, ...]:
        """The properties that determine the best tactic."""
        segments = tuple((x.shape[1], begin, end) for x, begin, end in self.x)
        types = (self.weight.dtype, self.y.dtype, None if self.residual is None else True)
        return id(self.region), segments, tuple(self.weight.shape), self.window, types


class Kernels:
    """The kernels, from the GPU's harness or from the emulator."""

    def __init__(self, harness: plugin_harness.Harness, device: torch.device) -> None:
        self.harness, self.device = harness, device

    def _ready(self) -> plugin_harness.Harness:
        if self.device.type == "cuda":
            stream = torch.cuda.current_stream(self.device).cuda_stream
            self.harness.stream = ctypes.c_void_p(stream)
        return self.harness

    def select(
        self, confidence: Tensor, active: Tensor, rho: Tensor, region: Rows, hard: Tensor
    ) -> None:
        """Fill ``region`` and ``hard``; maps are [N, 1, H, W]."""
        self._ready().select(
            View(confidence), View(active), View(rho), region.rows, region.index, region.count,
            View(hard),
        )  # fmt: skip

    def gather(self, x: Tensor, region: Rows, y: Tensor) -> None:
        """Rows of a map [N, C, H, W].

        A channels-last map is read directly if TensorRT's format for it has no padding: HWC16 for
        INT8, HWC8 for 16 bits. Others are converted to channels first, as in TensorRT.
        """
        multiple, layout = {1: (16, _CHANNELS_LAST_16), 2: (8, _CHANNELS_LAST_8)}.get(
            x.element_size(), (0, _CHANNELS_FIRST)
        )
        last = x.permute(0, 2, 3, 1)
        if multiple and not x.shape[1] % multiple and last.is_contiguous():
            self._ready().gather(View(last), region, View(y), layout=layout)
        else:
            self._ready().gather(View(x.contiguous()), region, View(y), layout=_CHANNELS_FIRST)

    def restrict(self, x: Tensor, outer: Rows, inner: Rows, y: Tensor) -> None:
        """Rows of ``inner`` from those of ``outer``."""
        self._ready().restrict(View(x), outer, inner, View(y))

    def scatter(self, x: Tensor, region: Rows, base: Tensor, y: Tensor) -> None:
        """``base`` [N, C, H, W], channels first, with a region's pixels replaced by rows."""
        self._ready().scatter(View(x), region, View(base), View(y))

    def max_pool(
        self, x: Tensor, region: Rows, y: Tensor, window: tuple[int, int, int, int]
    ) -> None:
        """The maximum over a window of rows."""
        self._ready().max_pool(View(x), region, View(y), window)

    def quantize(self, x: Tensor, region: Rows, y: Tensor, scale: float) -> None:
        """INT8 values of rows."""
        self._ready().quantize(View(x), region.count, View(y), scale)

    def conv(self, conv: RegionConv, tactic: int | None = None) -> None:
        """A region convolution; ``tactic`` None takes its own."""
        self._ready().conv(
            [(View(x), begin, end) for x, begin, end in conv.x], conv.region, View(conv.weight),
            View(conv.bias), None if conv.residual is None else View(conv.residual), View(conv.y),
            window=conv.window, scale=conv.residual_scale, relu=conv.relu,
            layout=_ROW_MAJOR_WEIGHTS, tactic=conv.tactic if tactic is None else tactic,
            scales=None if conv.scales is None else View(conv.scales), factor=conv.residual_factor,
        )  # fmt: skip

    def tactics(self, dtype: torch.dtype) -> int:
        """Number of variants of the convolution, which are numbered from 1."""
        return self.harness.conv_tactics(NUMPY[dtype])
