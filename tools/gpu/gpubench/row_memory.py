"""Memory of rows, and what a region operator reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx
import torch
from torch import Tensor

from gpubench.kernels import Rows


@dataclass
class Source:
    """What a region operator reads through an index.

    Attributes:
        x: rows [P, C]; those of `inputs` are replaced in each pass.
        region: the region, with the index of ``x``.
        inputs: places in ``x`` by tensor that standard operators make.
        index: the index map, if that is such a tensor.
    """

    x: list[Tensor]
    region: Rows
    inputs: dict[str, list[int]] = field(default_factory=dict)
    index: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Tensors that a pass gives to `take`."""
        return (*self.inputs, *(() if self.index is None else (self.index,)))

    def take(self, values: Sequence[Tensor]) -> None:
        """Take the values of `reads`."""
        for value, places in zip(values, self.inputs.values(), strict=False):
            for place in places:
                self.x[place] = value.contiguous()
        if self.index is not None:
            self.region = self.region.numbered(values[-1])


class RowBuffers:
    """Memory for rows [R, C], assigned in the order of a pass.

    Args:
        nodes: nodes of the model, in order; a buffer is released after its last reader.
        device: device of the memory.
    """

    def __init__(self, nodes: Sequence[onnx.NodeProto], device: torch.device) -> None:
        self._device = device
        self._last_use = {name: i for i, node in enumerate(nodes) for name in node.input}
        self._free: dict[tuple[int, int, torch.dtype], list[Tensor]] = {}
        self._live: dict[str, Tensor] = {}
        self.all: dict[str, Tensor] = {}

    def take(self, name: str, rows: int, channels: int, dtype: torch.dtype) -> Tensor:
        """Assign a buffer to a tensor.

        Args:
            name: name of the tensor.
            rows: number of rows.
            channels: channels per row.
            dtype: type of the values.
        """
        free = self._free.get((rows, channels, dtype))
        buffer = free.pop() if free else None
        if buffer is None:
            buffer = torch.zeros(rows, channels, dtype=dtype, device=self._device)
        self._live[name] = self.all[name] = buffer
        return buffer

    def release(self, node: int) -> None:
        """Release the buffers whose last reader is the node with this index."""
        for name in [n for n in self._live if self._last_use.get(n, node) <= node]:
            buffer = self._live.pop(name)
            self._free.setdefault((*buffer.shape, buffer.dtype), []).append(buffer)
