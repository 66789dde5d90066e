"""A small ONNX graph builder: nodes named by the path they stand at, initializers once each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lc_trt.ir.functions import DOMAIN, OPSET, VERSION, region_function

IR_VERSION = 10


class GraphBuilder:
    """Collects nodes and initializers; `path` puts a prefix on what is added inside it."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._prefix: list[str] = []
        self._used: set[str] = set()

    @contextmanager
    def path(self, part: str) -> Iterator[None]:
        """Names inside start with ``part/``."""
        self._prefix.append(part)
        try:
            yield
        finally:
            self._prefix.pop()

    def unique(self, name: str) -> str:
        """``prefix/name``, numbered from the second use on."""
        full = "/".join([*self._prefix, name])
        candidate, number = full, 1
        while candidate in self._used:
            number += 1
            candidate = f"{full}_{number}"
        self._used.add(candidate)
        return candidate

    def weight(self, name: str, value: npt.NDArray[Any]) -> str:
        """An initializer; its name."""
        full = self.unique(name)
        self.initializers[full] = numpy_helper.from_array(value, full)
        return full

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """A small shared constant; equal ones are stored once."""
        array = np.asarray(value, dtype)
        content = "_".join(str(v) for v in array.reshape(-1).tolist()) or "empty"
        shape = "x".join(map(str, array.shape)) or "scalar"
        name = f"const/{array.dtype}_{shape}_{content}"
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        *,
        name: str | None = None,
        outputs: Sequence[str] | int = 1,
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node; its output names (``outputs`` gives names, or how many to make up)."""
        full = self.unique(name or op_type.lower())
        if isinstance(outputs, int):
            outputs = [full] if outputs == 1 else [f"{full}:{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(op_type, inputs, outputs, name=full, domain=domain, **attributes)
        )
        return list(outputs)

    def op(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a standard operator with one output; the output's name."""
        return self.node(op_type, inputs, name=name, **attributes)[0]

    def region(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a region operator with one output; the output's name."""
        return self.node(op_type, inputs, name=name, domain=DOMAIN, **attributes)[0]

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        graph_name: str,
    ) -> onnx.ModelProto:
        """The finished model, with the functions it uses and no others."""
        used = [n.op_type for n in self.nodes if n.domain == DOMAIN]
        opsets = [helper.make_opsetid("", OPSET)]
        if used:
            opsets.append(helper.make_opsetid(DOMAIN, VERSION))
        graph = helper.make_graph(
            self.nodes, graph_name, inputs, outputs, list(self.initializers.values())
        )
        return helper.make_model(
            graph,
            functions=[region_function(name) for name in dict.fromkeys(used)],
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="lc-trt",
        )


def image_input() -> onnx.ValueInfoProto:
    """``image`` uint8 [batch, height, width, 3]."""
    return helper.make_tensor_value_info(
        "image", TensorProto.UINT8, ["batch", "height", "width", 3]
    )


def rho_input() -> onnx.ValueInfoProto:
    """``rho`` float32 [2]."""
    return helper.make_tensor_value_info("rho", TensorProto.FLOAT, [2])


def labels_output() -> onnx.ValueInfoProto:
    """``labels`` uint8 at the image's size."""
    return helper.make_tensor_value_info("labels", TensorProto.UINT8, ["batch", "height", "width"])


def map_output(name: str, dtype: int) -> onnx.ValueInfoProto:
    """A map at the feature map's size."""
    return helper.make_tensor_value_info(name, dtype, ["batch", "feature_height", "feature_width"])
