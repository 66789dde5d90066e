"""An ONNX graph that passes edit in place: constants as arrays, edges, types and shapes.

A model is read once, edited by all passes and encoded once. ONNX's shape inference, checker and
inliner get a model without weights (`Graph.skeleton`), because they copy it several times and do
not need the values.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from lc_trt.compiler.tensor_types import TensorType, infer_types

Array = npt.NDArray[Any]
_Message = TypeVar("_Message", bound=Message)
FunctionId = tuple[str, str, str]  # domain, name, overload

# Constants up to this size (in elements) may be shapes, axes or scales, which inference reads.
_SMALL = 128


@dataclass(frozen=True)
class Edges:
    """Producers and readers of each tensor, as a snapshot (`Graph.edges`).

    Attributes:
        producers: producing node, by tensor.
        readers: reading nodes in order, by tensor; a node that reads it twice occurs twice.
        uses: number of reads, including graph outputs, by tensor.
    """

    producers: dict[str, onnx.NodeProto]
    readers: dict[str, list[onnx.NodeProto]]
    uses: Counter[str]


class Graph:
    """A model's main graph and functions, for passes to edit.

    Args:
        model: is not modified.

    Attributes:
        nodes: nodes in topological order; passes assign a new list.
        constants: initializers and Constant nodes by name; the arrays are read-only.
        inputs, outputs: inputs and outputs of the model, without constants.
        functions: functions by domain, name and overload.
        metadata: metadata entries of the model.
        expanded: operator type by node name, for nodes that a pass replaced by nodes under the
            same path.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._header = _copy(model, "graph", "functions", "metadata_props")
        self._graph_header = _copy(
            graph, "node", "initializer", "input", "output", "value_info"
        )  # fmt: skip
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {
            t.name: numpy_helper.to_array(t) for t in graph.initializer
        }
        for node in graph.node:
            if node.op_type == "Constant" and node.domain == "" and node.attribute[0].HasField("t"):
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            else:
                self.nodes.append(_copy(node))
        self.inputs = [_copy(i) for i in graph.input if i.name not in self.constants]
        self.outputs = [_copy(o) for o in graph.output]
        self.functions: dict[FunctionId, onnx.FunctionProto] = {
            _identity(f): _copy(f) for f in model.functions
        }
        self.metadata = {p.key: p.value for p in model.metadata_props}
        self.expanded: dict[str, str] = {}
        self._types: dict[str, TensorType] | None = None
        self._names = {name for node in self.nodes for name in (*node.output, node.name)}
        self._names |= set(self.constants) | {i.name for i in self.inputs}

    def copy(self) -> Graph:
        """A copy to edit independently; the arrays of constants are shared."""
        other = copy.copy(self)
        other.nodes = [_copy(node) for node in self.nodes]
        other.inputs = [_copy(value) for value in self.inputs]
        other.outputs = [_copy(value) for value in self.outputs]
        other.constants, other.functions = dict(self.constants), dict(self.functions)
        other.metadata, other.expanded = dict(self.metadata), dict(self.expanded)
        other._names = set(self._names)
        return other

    def unique(self, name: str) -> str:
        """Reserve a name that no tensor or node has.

        Args:
            name: preferred name; a number is appended if it is taken.
        """
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a constant.

        Args:
            name: preferred name, see `unique`.
            value: array of any shape.
            dtype: dtype of the stored array.

        Returns:
            Name of the constant.
        """
        full = self.unique(name)
        self.constants[full] = np.asarray(value, dtype)
        return full

    def make(
        self,
        op_type: str,
        inputs: Sequence[str],
        name: str,
        *,
        outputs: Sequence[str] | None = None,
        domain: str = "",
        overload: str = "",
        **attributes: Any,
    ) -> onnx.NodeProto:
        """Create a node without adding it to ``nodes``.

        Args:
            op_type: operator type.
            inputs: input tensors; empty strings for omitted optional inputs.
            name: preferred node name, see `unique`.
            outputs: output tensors; None for one with the node's name.
            domain: domain of the operator.
            overload: overload of the function.
            **attributes: attributes of the node.
        """
        full = self.unique(name)
        return helper.make_node(
            op_type, inputs, outputs or [full], name=full, domain=domain, overload=overload,
            **attributes,
        )  # fmt: skip

    def add_function(self, function: onnx.FunctionProto) -> None:
        """Add a function.

        Args:
            function: replaces a function of the same domain, name and overload.
        """
        self.functions[_identity(function)] = function

    def edges(self) -> Edges:
        """Producers, readers and use counts of the current nodes."""
        edges = Edges({}, {}, Counter(output.name for output in self.outputs))
        for node in self.nodes:
            edges.producers.update(dict.fromkeys(node.output, node))
            edges.uses.update(node.input)
            for name in node.input:
                edges.readers.setdefault(name, []).append(node)
        return edges

    def types(self) -> dict[str, TensorType]:
        """Types of all tensors except constants, inferred at the first call after an edit.

        A pass that edits nodes in place must call it before.
        """
        if self._types is None:
            self._types = infer_types(self.skeleton())
        return self._types

    def type_of(self, name: str) -> TensorType:
        """Element type and shape of a tensor, as far as known.

        Args:
            name: name of any tensor.
        """
        if name in self.constants:
            return TensorType.of(self.constants[name])
        return self.types().get(name, TensorType())

    def dims(self, name: str) -> tuple[int | None, ...] | None:
        """Dimensions of a tensor, None for symbolic ones; None as a whole if the rank is unknown.

        Args:
            name: name of the tensor.
        """
        return self.type_of(name).dims

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Shape of a tensor; None unless all dimensions are known.

        Args:
            name: name of the tensor.
        """
        return self.type_of(name).shape

    def edited(self) -> None:
        """Discard inferred types and shapes; `apply_passes` does so after a pass with rewrites."""
        self._types = None

    def take(self, other: Graph) -> None:
        """Take over the nodes of a graph that was created from this one's skeleton.

        Args:
            other: graph without the large constants, possibly with additional ones.
        """
        self.nodes, self.functions = other.nodes, other.functions
        self.constants = other.constants | self.constants
        self._names |= other._names
        self.edited()

    def rename_uses(self, renamed: dict[str, str]) -> None:
        """Redirect all readers of some tensors to others.

        Args:
            renamed: new tensor by old one; chains are followed.
        """

        def final(name: str) -> str:
            while name in renamed:
                name = renamed[name]
            return name

        for node in self.nodes:
            for i, name in enumerate(node.input):
                node.input[i] = final(name)
        for output in self.outputs:
            if output.name in renamed:
                # A graph output keeps its name, so an Identity produces it.
                self.nodes.append(helper.make_node("Identity", [final(output.name)], [output.name]))

    def remove_dead(self) -> None:
        """Remove nodes without readers, unread constants and uncalled functions."""
        read = {o.name for o in self.outputs}
        alive: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if any(output in read for output in node.output):
                alive.append(node)
                read.update(node.input)
        self.nodes = alive[::-1]
        self.constants = {name: value for name, value in self.constants.items() if name in read}
        called = {(node.domain, node.op_type, node.overload) for node in self.nodes}
        self.functions = {key: f for key, f in self.functions.items() if key in called}

    def encode(self) -> onnx.ModelProto:
        """Encode the model without dead nodes, unread constants and unused functions."""
        self.remove_dead()
        model = self._without_constants()
        for name, value in self.constants.items():
            _add_initializer(model.graph, name, value)
        return model

    def skeleton(self) -> onnx.ModelProto:
        """The current model, with large constants replaced by inputs of their type and shape."""
        model = self._without_constants()
        for name, value in self.constants.items():
            if value.size <= _SMALL:
                _add_initializer(model.graph, name, value)
            else:
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                model.graph.input.append(helper.make_tensor_value_info(name, kind, value.shape))
        return model

    def _without_constants(self) -> onnx.ModelProto:
        model = _copy(self._header)
        model.graph.CopyFrom(self._graph_header)
        model.graph.node.extend(self.nodes)
        model.graph.input.extend(self.inputs)
        model.graph.output.extend(self.outputs)
        model.functions.extend(self.functions.values())
        helper.set_model_props(model, self.metadata)
        return model


def _identity(function: onnx.FunctionProto) -> FunctionId:
    return function.domain, function.name, function.overload


def _add_initializer(graph: onnx.GraphProto, name: str, value: Array) -> None:
    graph.initializer.append(numpy_helper.from_array(value, name))


def _copy(message: _Message, *left_out: str) -> _Message:
    """Copy a protobuf message without some of its fields."""
    result: _Message = type(message)()
    if not left_out:
        result.CopyFrom(message)
        return result
    for field, value in message.ListFields():
        if field.name in left_out:
            continue
        if hasattr(value, "MergeFrom"):  # a message, or repeated
            getattr(result, field.name).MergeFrom(value)
        else:
            setattr(result, field.name, value)
    return result
