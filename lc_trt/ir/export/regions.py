"""Maps as rows, and regions at half the stride of another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from onnx import TensorProto

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.operator_schema import Region


@dataclass(frozen=True)
class Source:
    """What a RegionConv reads.

    Attributes:
        rows: float [P, C].
        index: int32 [N, H, W], row + 1 of each cell, 0 of a cell without a row.
    """

    rows: str
    index: str


def all_rows(b: GraphBuilder, x: str) -> Source:
    """Add all cells of a dense map as rows, numbered 1 to N * H * W.

    Args:
        b: builder for the nodes.
        x: float [N, C, H, W].
    """
    with b.path("all_rows"):
        last = b.op("Transpose", x, perm=[0, 2, 3, 1])
        channels = b.op("Shape", x, name="channels", start=1, end=2)
        shape = b.op("Concat", b.constant([-1], np.int64), channels, name="shape", axis=0)
        rows = b.op("Reshape", last, shape, name="rows")
        size = b.op("Gather", b.op("Shape", x, name="size"), b.constant([0, 2, 3], np.int64))
        count = b.op("ReduceProd", size, name="count", keepdims=0)
        one = b.constant(1, np.int64)
        numbers = b.op("Range", one, b.op("Add", count, one, name="end"), one, name="numbers")
        index = b.op("Reshape", b.op("Cast", numbers, to=TensorProto.INT32), size, name="index")
    return Source(rows, index)


class Children:
    """The four cells at half the stride under each cell of a map.

    Args:
        b: builder for the nodes.
        like: a map at half the stride, [N, C, H, W].
    """

    def __init__(self, b: GraphBuilder, like: str) -> None:
        self._b = b
        zero, one, two = (b.constant(n, np.int64) for n in range(3))
        with b.path("children"):
            size = b.op("Shape", like, name="size", start=2, end=4)
            self._parents = [
                b.op("Div", b.op("Range", zero, b.op("Gather", size, axis), one), two)
                for axis in (zero, one)
            ]

    def repeat(self, x: str, axis: int, name: str) -> str:
        """Add the map with the value of each cell at all its children.

        Args:
            x: map of the parents.
            axis: axis of its height; the next one is its width.
            name: of the nodes.
        """
        for i, parents in enumerate(self._parents):
            x = self._b.op("Gather", x, parents, name=f"children/{name}", axis=axis + i)
        return x

    def region(self, parent: Region) -> Region:
        """Add the region of all children of a region's cells.

        Args:
            parent: region at twice the stride.

        Returns:
            ``index`` gives the row of each cell's parent. ``rows`` and ``count`` are the parents',
            and only for RegionRestrict's input ``index`` and for masks is this a region.
        """
        return replace(
            parent,
            index=self.repeat(parent.index, 1, "index"),
            hard=self.repeat(parent.hard, 2, "hard"),
        )
