"""A small ONNX graph builder: nodes named by the path they stand at, initializers once each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lc_trt.ir.functions import region_function
from lc_trt.ir.interface import (
    BATCH,
    DOMAIN,
    FEATURE_HEIGHT,
    FEATURE_WIDTH,
    HEIGHT,
    IMAGE,
    IR_VERSION,
    LABELS,
    OPSET,
    RHO,
    VERSION,
    WIDTH,
)
from lc_trt.ir.operator_schema import Region, RegionOperator
from lc_trt.ir.region_ops import OPERATORS, REGION_SELECT


class GraphBuilder:
    """Collects nodes and initializers; `path` puts a prefix on what is added inside it."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._prefix: list[str] = []
        self._used: set[str] = set()

    @contextmanager
    def path(self, part: str) -> Iterator[None]:
        """Put ``part/`` before the names inside.

        Args:
            part: of the path.
        """
        self._prefix.append(part)
        try:
            yield
        finally:
            self._prefix.pop()

    def unique(self, name: str) -> str:
        """``path/name``, numbered from the second use on.

        Args:
            name: inside the path.
        """
        full = "/".join([*self._prefix, name])
        candidate, number = full, 1
        while candidate in self._used:
            number += 1
            candidate = f"{full}_{number}"
        self._used.add(candidate)
        return candidate

    def weight(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add an initializer.

        Args:
            name: inside the path.
            value: of any shape and dtype.

        Returns:
            Its whole name.
        """
        full = self.unique(name)
        self.initializers[full] = numpy_helper.from_array(value, full)
        return full

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a small constant, once for all that have its value, shape and dtype.

        Args:
            value: of any shape.
            dtype: of the constant.

        Returns:
            Its name.
        """
        array = np.asarray(value, dtype)
        content = "_".join(str(v) for v in array.reshape(-1).tolist()) or "empty"
        shape = "x".join(map(str, array.shape)) or "scalar"
        name = f"const/{array.dtype}_{shape}_{content}"
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def op(
        self,
        op_type: str,
        *inputs: str,
        name: str | None = None,
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        """Add a standard operator with one output.

        Args:
            op_type: the operator.
            *inputs: tensors that it reads, in order; empty for one that is left out.
            name: of the node inside `path`; the operator's by default.
            output: name of the output; that of the node by default.
            **attributes: of the node.

        Returns:
            The output's name.
        """
        full = self.unique(name or op_type.lower())
        output = output or full
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=full, **attributes))
        return output

    def region(
        self,
        operator: RegionOperator,
        *,
        name: str | None = None,
        output: str | None = None,
        region: Region | None = None,
        **arguments: Any,
    ) -> str:
        """Add a region operator with one output.

        Args:
            operator: any but RegionSelect, which `select` adds.
            name: of the node inside `path`; the operator's by default.
            output: name of the output; that of the node by default.
            region: as for `RegionOperator.node`.
            **arguments: inputs and attributes, as for `RegionOperator.node`.

        Returns:
            The output's name.
        """
        full = self.unique(name or operator.name.lower())
        output = output or full
        self.nodes.append(operator.node(full, [output], region=region, **arguments))
        return output

    def select(self, confidence: str, active: str, rho: str, *, name: str = "select") -> Region:
        """Add a RegionSelect.

        Args:
            confidence: floating [N, 1, H, W].
            active: bool or int32 [N, 1, H, W].
            rho: one value.
            name: of the node inside `path`.

        Returns:
            Its outputs.
        """
        full = self.unique(name)
        outputs = [f"{full}:{i}" for i in range(len(REGION_SELECT.outputs))]
        self.nodes.append(
            REGION_SELECT.node(full, outputs, confidence=confidence, active=active, rho=rho)
        )
        return Region(*outputs)

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        graph_name: str,
    ) -> onnx.ModelProto:
        """The finished model, with the functions it uses and no others.

        Args:
            inputs: of the model.
            outputs: of the model.
            graph_name: of its graph.
        """
        used = [n.op_type for n in self.nodes if n.domain == DOMAIN]
        opsets = [helper.make_opsetid("", OPSET)]
        if used:
            opsets.append(helper.make_opsetid(DOMAIN, VERSION))
        graph = helper.make_graph(
            self.nodes, graph_name, inputs, outputs, list(self.initializers.values())
        )
        return helper.make_model(
            graph,
            functions=[region_function(OPERATORS[name]) for name in dict.fromkeys(used)],
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="lc-trt",
        )


def image_input() -> onnx.ValueInfoProto:
    """``image`` uint8 [batch, height, width, 3]."""
    return helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [BATCH, HEIGHT, WIDTH, 3])


def rho_input() -> onnx.ValueInfoProto:
    """``rho`` float32 [2]."""
    return helper.make_tensor_value_info(RHO, TensorProto.FLOAT, [2])


def labels_output() -> onnx.ValueInfoProto:
    """``labels`` uint8 at the image's size."""
    return helper.make_tensor_value_info(LABELS, TensorProto.UINT8, [BATCH, HEIGHT, WIDTH])


def map_output(name: str, dtype: int) -> onnx.ValueInfoProto:
    """A map [batch, feature height, feature width].

    Args:
        name: of the output.
        dtype: number of `onnx.TensorProto.DataType`.
    """
    return helper.make_tensor_value_info(name, dtype, [BATCH, FEATURE_HEIGHT, FEATURE_WIDTH])
