"""Nodes and constants, one after the other."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnx

from lc_trt.compiler.graph import Array, Graph


class Builder:
    """Where lowered nodes go.

    Attributes:
        graph: the graph that they are for.
        nodes: those so far.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []

    @property
    def constants(self) -> dict[str, Array]:
        """By name."""
        return self.graph.constants

    def add(
        self, op_type: str, *inputs: str, name: str, output: str | None = None, **attrs: Any
    ) -> str:
        """Add a node with one output.

        Args:
            op_type: of the node.
            *inputs: tensors in order.
            name: of the node, numbered if it is taken.
            output: the tensor that it makes; None for the node's name.
            **attrs: of the node.

        Returns:
            The output's name.
        """
        node = self.graph.make(
            op_type, inputs, name, outputs=None if output is None else [output], **attrs
        )
        self.nodes.append(node)
        return str(node.output[0])

    def const(self, name: str, value: npt.ArrayLike, dtype: str) -> str:
        """Add a constant.

        Args:
            name: of it, numbered if it is taken.
            value: of any shape.
            dtype: it is stored in.

        Returns:
            Its name.
        """
        return self.graph.constant(name, value, dtype)
