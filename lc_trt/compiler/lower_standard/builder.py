"""Builder for lowered nodes and constants."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnx

from lc_trt.compiler.graph import Array, Graph


class Builder:
    """Collects lowered nodes.

    Attributes:
        graph: graph that the nodes belong to.
        nodes: nodes so far.
        with_zero: rows with a row of zeros in front, by the rows.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.with_zero: dict[str, str] = {}

    @property
    def constants(self) -> dict[str, Array]:
        """Constants of the graph by name."""
        return self.graph.constants

    def add(
        self, op_type: str, *inputs: str, name: str, output: str | None = None, **attrs: Any
    ) -> str:
        """Add a node with one output.

        Args:
            op_type: operator type.
            *inputs: input tensors.
            name: preferred node name; a number is appended if it is taken.
            output: output tensor; None for the node's name.
            **attrs: attributes of the node.

        Returns:
            Name of the output.
        """
        node = self.graph.make(
            op_type, inputs, name, outputs=None if output is None else [output], **attrs
        )
        self.nodes.append(node)
        return str(node.output[0])

    def const(self, name: str, value: npt.ArrayLike, dtype: str) -> str:
        """Add a constant.

        Args:
            name: preferred name; a number is appended if it is taken.
            value: array of any shape.
            dtype: dtype of the stored array.

        Returns:
            Name of the constant.
        """
        return self.graph.constant(name, value, dtype)
