"""Fix the batch and the image size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.interface import IMAGE, LABELS


@dataclass(frozen=True)
class Freeze:
    """Fixes the shape of ``image`` to [batch, height, width, 3], and those of the outputs.

    Attributes:
        batch: images per pass; None leaves the dimension unchanged.
        size: (height, width) in pixels; None leaves the dimensions unchanged.
    """

    name: ClassVar[str] = "freeze"
    batch: int | None
    size: tuple[int, int] | None

    def apply(self, graph: Graph) -> PassReport:
        """Set the dimensions of the inputs and outputs."""
        sizes = (self.batch, *(self.size or (None, None)))
        for value in graph.inputs:
            if value.name == IMAGE:
                _fix(value, (*sizes, 3))
        for value in graph.outputs:
            _fix(value, sizes if value.name == LABELS else sizes[:1])
        graph.edited()
        return PassReport()


def _fix(value: onnx.ValueInfoProto, sizes: tuple[int | None, ...]) -> None:
    """Set the leading dimensions whose size is given."""
    for dim, size in zip(value.type.tensor_type.shape.dim, sizes, strict=False):
        if size is not None:
            dim.Clear()
            dim.dim_value = size
