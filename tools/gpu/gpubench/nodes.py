"""ONNX nodes for the operators of the executor, and the resulting steps."""

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
        name: name of its node.
        operator: operator of its node, with the domain unless it is ONNX's.
        reads: input tensors of ``run``, in order.
        writes: tensors that ``run`` returns, one or several.
        run: runs the step.
    """

    name: str
    operator: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[..., Tensor | tuple[Tensor, ...]]


class OperatorNode:
    """A node whose inputs and attributes are read by name.

    An operator's builder reads everything that it implements. `check_read` raises for the rest, so
    unsupported attributes and inputs are never ignored.
    """

    def __init__(self, node: onnx.NodeProto, graph: Graph) -> None:
        self.proto, self._graph = node, graph
        self.name = node.name or node.output[0]
        self.operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        self._tensors, self._attributes = set[str](), set[str]()  # names that were read
        try:
            self._view = NodeView(node)
        except ValueError as error:
            raise self.refusal(str(error)) from error

    def refusal(self, reason: str) -> LcTrtError:
        """Create an error that names this node.

        Args:
            reason: what the executor does not support.
        """
        return LcTrtError(
            f"node {self.name!r} ({self.operator}): {reason}; the executor of tools/gpu "
            "supports lowered networks of lc-trt; implement this node in tools/gpu/gpubench/"
        )

    def tensor(self, name: str) -> str:
        """The tensor of an input.

        Args:
            name: name of the input, as in the operator's schema.

        Raises:
            LcTrtError: the node has no such input.
        """
        tensor = self.optional(name)
        if tensor is None:
            raise self.refusal(f"no input {name!r}")
        return tensor

    def optional(self, name: str) -> str | None:
        """The tensor of an optional input; None if omitted."""
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
        """The tensor of an output.

        Args:
            name: name of the output, as in the operator's schema.
        """
        return self._view.output(name)

    def constant(self, name: str) -> Array:
        """The value of an input that must be a constant.

        Args:
            name: name of the input.

        Raises:
            LcTrtError: it is not constant.
        """
        tensor = self.tensor(name)
        if tensor not in self._graph.constants:
            raise self.refusal(f"its {name!r} is not a constant")
        return self._graph.constants[tensor]

    def integers(self, name: str) -> list[int] | None:
        """The values of a constant integer input; None if omitted."""
        if self.optional(name) is None:
            return None
        return [int(value) for value in self.constant(name).reshape(-1)]

    def map_type(self, name: str) -> tuple[tuple[int | None, ...], torch.dtype]:
        """Sizes (None for symbolic ones) and type of an input map [N, C, H, W].

        Args:
            name: name of the input.

        Raises:
            LcTrtError: not such a map.
        """
        known = self._graph.type_of(self.tensor(name))
        if known.dims is None or len(known.dims) != 4 or known.element not in TORCH_TYPES:
            raise self.refusal(f"its {name!r} is not known to be a map [N, C, H, W]")
        return known.dims, TORCH_TYPES[known.element]

    def attribute(self, name: str) -> Any:
        """The value of an attribute, its default, or None without one."""
        self._attributes.add(name)
        return self._view.attributes().get(name)

    def expect(self, **attributes: Any) -> None:
        """Check that attributes have supported values.

        Args:
            attributes: supported value of each attribute, or a collection of them.
        """
        for name, allowed in attributes.items():
            value = self.attribute(name)
            value = value.decode() if isinstance(value, bytes) else value
            several = isinstance(allowed, Collection) and not isinstance(allowed, str)
            if value is not None and value not in (allowed if several else (allowed,)):
                raise self.refusal(f"its {name} is {value!r}, expected {allowed!r}")

    def check_read(self) -> None:
        """Check that all inputs and attributes were read.

        Raises:
            LcTrtError: one was not; names it.
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
        """Create the step of this node.

        Args:
            run: runs it, on the tensors of ``reads``.
            reads: names of tensors.
            writes: number of outputs.
        """
        outputs = tuple(self.proto.output)
        if len(outputs) != writes:
            raise self.refusal(f"{len(outputs)} outputs, expected {writes}")
        return Step(self.name, self.operator, reads, outputs, run)


def device_tensor(value: Array, device: torch.device) -> Tensor:
    """Copy a constant to the device, contiguous.

    Args:
        value: array of a type in `TORCH_TYPES`.
        device: target device.
    """
    value = np.array(value)  # a copy that torch may own
    if value.dtype.name == "bfloat16":
        return torch.from_numpy(value.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(value).to(device)
