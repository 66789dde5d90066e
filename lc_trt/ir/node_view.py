"""A node's inputs, outputs and attributes by the names that its operator's schema gives them.

    conv = NodeView(node)
    graph.constants[conv.input("weight")]      # RegionConv, whichever form
    conv.set_input("residual", other)
    conv.attribute("activation")               # the default where the node has none

Standard operators have the names of `onnx.defs`: ``X``, ``W`` and ``B`` of Conv, ``data`` and
``axes`` of ReduceMax. No pass counts inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import defs, helper

from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.operator_schema import Form, Region
from lc_trt.ir.region_ops import OPERATORS


@dataclass(frozen=True)
class Signature:
    """Parameter names of an operator, in order.

    Attributes:
        inputs, outputs: names.
        variadic: the inputs or outputs that stand for several tensors; one at most of each.
        defaults: values of attributes that a node may leave out.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    variadic: frozenset[str]
    defaults: Mapping[str, Any]


@functools.cache
def _region_signature(name: str, overload: str) -> Signature:
    if name not in OPERATORS:
        raise ValueError(f"no region operator {name!r}")
    operator, form = OPERATORS[name], Form.parse(overload)
    inputs = operator.inputs_of(form)
    return Signature(
        tuple(t.name for t in inputs),
        tuple(t.name for t in operator.outputs),
        frozenset(t.name for t in inputs if t.variadic),
        {a.name: a.default for a in operator.attributes_of(form) if a.has_default},
    )


@functools.cache
def _standard_signature(name: str, domain: str) -> Signature:
    schema = defs.get_schema(name, domain="" if domain == "ai.onnx" else domain)
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    return Signature(
        tuple(p.name for p in schema.inputs),
        tuple(p.name for p in schema.outputs),
        frozenset(p.name for p in (*schema.inputs, *schema.outputs) if p.option == variadic),
        {
            a.name: helper.get_attribute_value(a.default_value)
            for a in schema.attributes.values()
            if a.default_value.name
        },
    )


class NodeView:
    """Named access to a node, which it edits in place.

    Attributes:
        node: the node itself.
    """

    def __init__(self, node: onnx.NodeProto) -> None:
        """Views ``node``.

        Raises:
            ValueError: no schema is known for the operator.
        """
        self.node = node
        if node.domain == DOMAIN:
            self._signature = _region_signature(node.op_type, node.overload)
            return
        try:
            self._signature = _standard_signature(node.op_type, node.domain)
        except defs.SchemaError as error:
            raise ValueError(f"no schema of {node.domain}.{node.op_type}") from error

    def input(self, name: str) -> str:
        """The tensor that an input reads; empty where an optional one is left out.

        Args:
            name: of the input.

        Raises:
            ValueError: the operator has no such input, or this node has several of it.
        """
        tensors = self.inputs(name)
        if len(tensors) > 1:
            raise ValueError(f"{self.node.op_type}: {len(tensors)} of {name!r}, expected one")
        return tensors[0] if tensors else ""

    def inputs(self, name: str) -> list[str]:
        """The tensors of an input: several of a variadic one, none where it is left out.

        Args:
            name: of the input.
        """
        place = self._place(name, self._signature.inputs, self.node.input)
        return [tensor for tensor in self.node.input[place] if tensor]

    def region(self) -> Region:
        """What RegionConv or RegionMaxPool reads of its region."""
        return Region(self.input("rows"), self.input("index"), self.input("count"))

    def set_input(self, name: str, tensor: str) -> None:
        """Let an input read another tensor; an optional one may have been left out.

        Args:
            name: of the input, one that is not variadic.
            tensor: what it reads from now on.
        """
        place = self._place(name, self._signature.inputs, self.node.input)
        while len(self.node.input) < place.stop:
            self.node.input.append("")
        self.node.input[place.start] = tensor

    def set_inputs(self, name: str, tensors: Sequence[str]) -> None:
        """Let a variadic input read other tensors, as many as before.

        Args:
            name: of the input.
            tensors: what it reads from now on.
        """
        place = self._place(name, self._signature.inputs, self.node.input)
        if len(tensors) != place.stop - place.start:
            raise ValueError(f"{self.node.op_type}: {len(tensors)} of {name!r} for {place}")
        for at, tensor in zip(range(place.start, place.stop), tensors, strict=True):
            self.node.input[at] = tensor

    def named_inputs(self) -> Iterator[tuple[str, str]]:
        """Pairs of input name and tensor, without those that are left out."""
        for name in self._signature.inputs:
            yield from ((name, tensor) for tensor in self.inputs(name))

    def output(self, name: str) -> str:
        """The tensor that an output makes; empty where an optional one is left out.

        Args:
            name: of the output.
        """
        place = self._place(name, self._signature.outputs, self.node.output)
        return "".join(self.node.output[place])

    def set_output(self, name: str, tensor: str) -> None:
        """Let an output have another name.

        Args:
            name: of the output.
            tensor: its tensor's name from now on.
        """
        place = self._place(name, self._signature.outputs, self.node.output)
        self.node.output[place.start] = tensor

    def attributes(self) -> dict[str, Any]:
        """All attributes as Python values, defaults filled in."""
        own = {a.name: helper.get_attribute_value(a) for a in self.node.attribute}
        return {**self._signature.defaults, **own}

    def attribute(self, name: str) -> Any:
        """The value of an attribute; its default where the node has none.

        Args:
            name: of the attribute.

        Raises:
            ValueError: the node has no such attribute, and there is no default.
        """
        for attribute in self.node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        if name not in self._signature.defaults:
            raise ValueError(f"{self.node.op_type}: no attribute {name!r}")
        return self._signature.defaults[name]

    def set_attribute(self, name: str, value: Any) -> None:
        """Give an attribute a value.

        Args:
            name: of the attribute.
            value: an int, float, list of ints or whatever `onnx.helper.make_attribute` takes.
        """
        attribute = helper.make_attribute(name, value)
        for own in self.node.attribute:
            if own.name == name:
                own.CopyFrom(attribute)
                return
        self.node.attribute.append(attribute)

    def _place(self, name: str, names: tuple[str, ...], tensors: Sequence[str]) -> slice:
        """Where the tensors of a parameter stand among those of the node."""
        if name not in names:
            raise ValueError(f"{self.node.op_type} has no {name!r}: {', '.join(names)}")
        at = names.index(name)
        for first, other in enumerate(names[: at + 1]):
            if other in self._signature.variadic:
                behind = len(names) - at  # with this one
                start = first if name == other else len(tensors) - behind
                return slice(start, len(tensors) - behind + 1)
        return slice(at, at + 1)
