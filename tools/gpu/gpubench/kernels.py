"""The harness's kernels on torch tensors, on torch's stream."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import plugin_harness
import torch
from torch import Tensor

from gpubench.plan import ConvStep, Features, PoolStep

NUMPY = {
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(ml_dtypes.bfloat16),
    torch.int8: np.dtype(np.int8),
    torch.int32: np.dtype(np.int32),
    torch.bool: np.dtype(np.bool_),
}


class View:
    """A contiguous tensor as `plugin_harness` takes arrays; it keeps the tensor alive."""

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
        """Room for any region of a map."""
        n, h, w = shape
        return cls(
            torch.zeros(n * h * w, dtype=torch.int32, device=device),
            torch.zeros(shape, dtype=torch.int32, device=device),
            torch.zeros(1, dtype=torch.int32, device=device),
            shape,
        )

    def set(self, mask: np.ndarray) -> None:
        """The region of a mask, bool [N, H, W], in the same memory."""
        described = plugin_harness.describe(mask)
        targets = (self.rows_tensor, self.index_tensor, self.count_tensor)
        for target, value in zip(targets, described, strict=True):
            target.copy_(torch.from_numpy(value))


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
        """Rows of a map [N, C, H, W] that lies channels last, C a multiple of 8."""
        last = x.permute(0, 2, 3, 1)
        if last.shape[3] % 8:
            raise ValueError(f"{last.shape[3]} channels, expected a multiple of 8")
        self._ready().gather(View(last), region, View(y), layout=1)

    def restrict(self, x: Tensor, outer: Rows, inner: Rows, y: Tensor) -> None:
        """Rows of ``inner`` from those of ``outer``."""
        self._ready().restrict(View(x), outer, inner, View(y))

    def scatter(self, x: Tensor, region: Rows, target: Tensor) -> None:
        """Write rows into a map [N, C, H, W]."""
        view = View(target)
        self._ready().scatter(View(x), region, view, view)

    def run(
        self, step: ConvStep | PoolStep, buffers: Sequence[Tensor], region: Rows, tactic: int | None
    ) -> None:
        """A step of a plan; ``tactic`` None takes the step's own."""
        if isinstance(step, PoolStep):
            x, y = View(buffers[step.x]), View(buffers[step.out])
            self._ready().max_pool(x, region, y, step.window)
            return
        self.conv(step, segments(step.x, buffers), buffers, region, tactic)

    def conv(
        self, step: ConvStep, x: list[tuple[View, int, int]], buffers: Sequence[Tensor],
        region: Rows, tactic: int | None,
    ) -> None:  # fmt: skip
        """A region convolution."""
        residual = None if step.residual is None else View(buffers[step.residual])
        self._ready().conv(
            x, region, View(step.weight), View(step.bias), residual, View(buffers[step.out]),
            window=step.window, relu=step.relu, layout=1,
            tactic=step.tactic if tactic is None else tactic,
            scales=None if step.scale is None else View(step.scale), factor=step.factor,
        )  # fmt: skip

    def tactics(self, dtype: torch.dtype) -> int:
        """How many variants of the convolution there are; they are numbered from 1."""
        return self.harness.conv_tactics(NUMPY[dtype])


def segments(x: Features, buffers: Sequence[Tensor]) -> list[tuple[View, int, int]]:
    """Parts as the harness takes them."""
    return [(View(buffers[part.buffer]), part.begin, part.end) for part in x]
