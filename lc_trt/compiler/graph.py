"""An ONNX graph that passes can edit: constants as arrays, producers, uses, clean-up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]


class EditableGraph:
    """A working copy of a model's main graph.

    ``nodes`` stay in topological order; a pass that rewrites builds a new list and
    assigns it. `model` gives the result, without nodes and constants nobody reads.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        graph = self._model.graph
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {
            t.name: numpy_helper.to_array(t) for t in graph.initializer
        }
        for node in graph.node:
            if node.op_type == "Constant" and node.domain == "" and node.attribute[0].HasField("t"):
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            else:
                self.nodes.append(node)
        self.inputs = [i for i in graph.input if i.name not in self.constants]
        self.outputs = list(graph.output)
        self._names = {name for node in self.nodes for name in (*node.output, node.name)}
        self._names |= set(self.constants) | {i.name for i in self.inputs}

    def unique(self, name: str) -> str:
        """``name``, numbered if it is taken."""
        candidate, number = name, 1
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a constant; its name."""
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
        """A new node (not yet in ``nodes``); its output is called as the node unless named."""
        full = self.unique(name)
        return helper.make_node(
            op_type, inputs, outputs or [full], name=full, domain=domain, overload=overload,
            **attributes,
        )  # fmt: skip

    def add_function(self, function: onnx.FunctionProto) -> None:
        """Let nodes call a function; it replaces one of the same domain, name and overload."""
        functions = self._model.functions
        kept = [f for f in functions if _identity(f) != _identity(function)]
        del functions[:]
        functions.extend([*kept, function])

    def use_counts(self) -> dict[str, int]:
        """How often each tensor is read, graph outputs included."""
        counts: dict[str, int] = {o.name: 1 for o in self.outputs}
        for node in self.nodes:
            for name in node.input:
                counts[name] = counts.get(name, 0) + 1
        return counts

    def rename_uses(self, renamed: dict[str, str]) -> None:
        """Make every reader of a key read its value instead (chains are followed)."""

        def final(name: str) -> str:
            while name in renamed:
                name = renamed[name]
            return name

        for node in self.nodes:
            for i, name in enumerate(node.input):
                node.input[i] = final(name)
        for output in self.outputs:
            if output.name in renamed:
                # A graph output keeps its name: an Identity stands where its producer was.
                self.nodes.append(helper.make_node("Identity", [final(output.name)], [output.name]))

    def remove_dead(self) -> None:
        """Drop nodes whose outputs nobody reads."""
        wanted = {o.name for o in self.outputs}
        kept: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if any(output in wanted for output in node.output):
                kept.append(node)
                wanted.update(node.input)
        self.nodes = kept[::-1]

    def model(self) -> onnx.ModelProto:
        """The edited model: dead nodes, unread constants and unused functions left out."""
        self.remove_dead()
        read = {name for node in self.nodes for name in node.input}
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.input[:], graph.output[:]
        del graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
            for name, value in self.constants.items()
            if name in read
        )
        graph.input.extend(self.inputs)
        graph.output.extend(self.outputs)
        used = {(node.domain, node.op_type, node.overload) for node in self.nodes}
        functions = [f for f in self._model.functions if _identity(f) in used]
        del self._model.functions[:]
        self._model.functions.extend(functions)
        result = onnx.ModelProto()
        result.CopyFrom(self._model)
        return result


def _identity(function: onnx.FunctionProto) -> tuple[str, str, str]:
    return function.domain, function.name, function.overload


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def static_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The tensors whose whole shape is known after ONNX shape inference."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, dims in known_dims(model).items():
        sizes = [size for size in dims if size is not None]
        if len(sizes) == len(dims):
            shapes[name] = tuple(sizes)
    return shapes


def known_dims(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """What ONNX shape inference finds of each tensor's shape; None stands for a symbolic size."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, tuple[int | None, ...]] = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in _values(graph):
        if value.type.tensor_type.HasField("shape"):
            shapes[value.name] = tuple(
                d.dim_value if d.HasField("dim_value") else None
                for d in value.type.tensor_type.shape.dim
            )
    return shapes


def _values(graph: onnx.GraphProto) -> Iterable[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.output
    yield from graph.value_info
