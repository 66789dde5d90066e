"""ONNX nodes as the operators of the executor read them, and the steps that they become."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from lc_trt.compiler.graph import Array, Graph
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import PLUGIN_ATTRIBUTES
from lc_trt.ir.node_view import NodeView

TORCH_TYPES: dict[int, torch.dtype] = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.BFLOAT16: torch.bfloat16,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.BOOL: torch.bool,
}


@dataclass
class Step:
    """One launch, or a few, of a pass.

    Attributes:
        name: of its node.
        operator: of its node; with a domain where that is not ONNX's own.
        reads: tensors that ``run`` takes, in order.
        writes: tensors that ``run`` returns, one or several.
        run: does it.
    """

    name: str
    operator: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[..., Tensor | tuple[Tensor, ...]]


class OperatorNode:
    """A node whose inputs and attributes are read by name.

    An operator's builder reads all that it implements. `check_read` refuses what it left: an
    attribute or input that nobody implements is an error, never ignored.
    """

    def __init__(self, node: onnx.NodeProto, graph: Graph) -> None:
        self.proto, self._graph = node, graph
        self.name = node.name or node.output[0]
        self.operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        self._tensors, self._attributes = set[str](), set[str]()  # that were read
        try:
            self._view = NodeView(node)
        except ValueError as error:
            raise self.refusal(str(error)) from error

    def refusal(self, reason: str) -> LcTrtError:
        """An error that names this node.

        Args:
            reason: what about it the executor does not do.
        """
        return LcTrtError(
            f"node {self.name!r} ({self.operator}): {reason}; the executor of tools/gpu runs what "
            "lower_tensorrt makes of our networks: teach tools/gpu/gpubench/ this node"
        )

    def tensor(self, name: str) -> str:
        """The tensor that an input reads.

        Args:
            name: of the input, as in the operator's schema.

        Raises:
            LcTrtError: the node has no such input.
        """
        tensor = self.optional(name)
        if tensor is None:
            raise self.refusal(f"no input {name!r}")
        return tensor

    def optional(self, name: str) -> str | None:
        """The same for an input that may be left out, which is None."""
        tensors = self.tensors(name)
        if len(tensors) > 1:
            raise self.refusal(f"{len(tensors)} inputs {name!r}")
        return tensors[0] if tensors else None

    def tensors(self, name: str) -> tuple[str, ...]:
        """The tensors of a variadic input."""
        tensors = tuple(self._view.inputs(name))
        self._tensors.update(tensors)
        return tensors

    def output(self, name: str) -> str:
        """The tensor that an output makes.

        Args:
            name: of the output, as in the operator's schema.
        """
        return self._view.output(name)

    def constant(self, name: str) -> Array:
        """The value of an input that must be a constant.

        Args:
            name: of the input.

        Raises:
            LcTrtError: it is computed.
        """
        tensor = self.tensor(name)
        if tensor not in self._graph.constants:
            raise self.refusal(f"its {name!r} is no constant")
        return self._graph.constants[tensor]

    def integers(self, name: str) -> list[int] | None:
        """The values of a constant input of integers; None where it is left out."""
        if self.optional(name) is None:
            return None
        return [int(value) for value in self.constant(name).reshape(-1)]

    def map_type(self, name: str) -> tuple[tuple[int | None, ...], torch.dtype]:
        """Sizes, None for a symbolic one, and type of a map [N, C, H, W] that an input reads.

        Args:
            name: of the input.

        Raises:
            LcTrtError: it is no such map.
        """
        known = self._graph.type_of(self.tensor(name))
        if known.dims is None or len(known.dims) != 4 or known.element not in TORCH_TYPES:
            raise self.refusal(f"its {name!r} is not known to be a map [N, C, H, W]")
        return known.dims, TORCH_TYPES[known.element]

    def attribute(self, name: str) -> Any:
        """The value of an attribute, its default or, where it has none, None."""
        self._attributes.add(name)
        return self._view.attributes().get(name)

    def expect(self, **attributes: Any) -> None:
        """Refuse other values of attributes than these, which are what the executor does.

        Args:
            attributes: the value of each, or a collection of those that it may have.
        """
        for name, allowed in attributes.items():
            value = self.attribute(name)
            value = value.decode() if isinstance(value, bytes) else value
            several = isinstance(allowed, Collection) and not isinstance(allowed, str)
            if value is not None and value not in (allowed if several else (allowed,)):
                raise self.refusal(f"its {name} is {value!r}, expected {allowed!r}")

    def check_read(self) -> None:
        """Refuse inputs and attributes that nobody read.

        Raises:
            LcTrtError: there is one; it is named.
        """
        for tensor in self.proto.input:
            if tensor and tensor not in self._tensors:
                raise self.refusal(f"its input {tensor!r} is not supported")
        for attribute in self.proto.attribute:
            if attribute.name not in self._attributes | PLUGIN_ATTRIBUTES.keys():
                raise self.refusal(f"its attribute {attribute.name!r} is not supported")

    def step(
        self, run: Callable[..., Tensor | tuple[Tensor, ...]], *reads: str, writes: int = 1
    ) -> Step:
        """The step that this node becomes.

        Args:
            run: does it, on the tensors of ``reads``.
            reads: names of tensors.
            writes: how many of the node's outputs there are.
        """
        outputs = tuple(self.proto.output)
        if len(outputs) != writes:
            raise self.refusal(f"{len(outputs)} outputs, expected {writes}")
        return Step(self.name, self.operator, reads, outputs, run)


def device_tensor(value: Array, device: torch.device) -> Tensor:
    """A constant on the device, contiguous.

    Args:
        value: of any type in `TORCH_TYPES`.
        device: where it goes.
    """
    value = np.array(value)  # a copy that torch may own
    if value.dtype.name == "bfloat16":
        return torch.from_numpy(value.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(value).to(device)
