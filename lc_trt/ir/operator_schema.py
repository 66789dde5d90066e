"""How the schema of a region operator is written: tensors, attributes, forms, and nodes made by it.

`lc_trt.ir.region_ops` has the operators themselves.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import onnx
from onnx import helper

from lc_trt.ir.interface import DOMAIN

MAX_SEGMENTS = 8  # how many `x` the kernel of RegionConv reads

AttributeType = Literal["int", "float", "ints"]
Value = int | float | tuple[int, ...]


@dataclass(frozen=True)
class Types:
    """Element types that a tensor may have.

    Attributes:
        allowed: numbers of `onnx.TensorProto.DataType`.
        same_as: an input of the operator whose type it may have as well.
        by: an attribute that chooses the type among ``allowed``.
    """

    allowed: tuple[int, ...] = ()
    same_as: str | None = None
    by: str | None = None


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Attributes:
        name: as in the operator's function.
        shape: N, H, W sizes of the map; R rows of the region, P of what it reads; C channels.
        types: of the plugin; the exchange format has FP32, INT32 and BOOL only.
        int8: the types where the first input is INT8; None for the same.
        variadic: one to `MAX_SEGMENTS` tensors of that name; one in the exchange format.
        int8_only: left out unless the first input is INT8.
        note: what the name does not say.
    """

    name: str
    shape: str
    types: Types
    int8: Types | None = None
    variadic: bool = False
    int8_only: bool = False
    note: str = ""


@dataclass(frozen=True)
class Attribute:
    """An attribute of a node, and field of the plugin.

    Attributes:
        name: of the attribute.
        kind: of its value.
        note: what it means.
        default: None where a node must have it. An empty tuple stands for a value that depends on
            the inputs: the plugin knows it, the ONNX function does not, so nodes have it.
        length: of ints; None for one per `x`.
        choices: how many values an int has, from 0 on; None for any.
        plugin_only: not in the exchange format.
    """

    name: str
    kind: AttributeType
    note: str
    default: Value | None = None
    length: int | None = None
    choices: int | None = None
    plugin_only: bool = False

    @property
    def has_default(self) -> bool:
        """Whether nodes may leave it out."""
        return self.default is not None and self.default != ()


class OutputType(enum.Enum):
    """What RegionConv makes of INT8 rows: `number` is the value of its attribute output_type."""

    INT8 = 0
    FP32 = 1
    FP16 = 2
    BF16 = 3

    @property
    def number(self) -> int:
        """The value of the attribute."""
        return int(self.value)


@dataclass(frozen=True)
class Form:
    """A form of an operator, which is an overload of its ONNX function.

    Attributes:
        segments: how many `x` it has; None for the exchange format's form, which has one.
        output: None in floating point; what a form for INT8 rows returns.
    """

    segments: int | None = None
    output: OutputType | None = None

    @property
    def overload(self) -> str:
        """The name that ONNX tells forms apart by; empty for the exchange format's."""
        if self.segments is None:
            return ""
        if self.output is None:
            return f"segments{self.segments}"
        ending = "" if self.output is OutputType.INT8 else f"_{self.output.name.lower()}"
        return f"int8_segments{self.segments}{ending}"

    @classmethod
    def parse(cls, overload: str) -> Form:
        """The form that an overload names.

        Args:
            overload: of a node; empty for the exchange form.

        Raises:
            ValueError: no form has this name.
        """
        if not overload:
            return EXCHANGE
        match = re.fullmatch(r"(int8_)?segments([1-8])(?:_(fp32|fp16|bf16))?", overload)
        if match is None or (match[3] and not match[1]):
            raise ValueError(f"no overload {overload!r} of a region operator")
        output = OutputType[(match[3] or "int8").upper()] if match[1] else None
        return cls(int(match[2]), output)


EXCHANGE = Form()


@dataclass(frozen=True)
class Region:
    """The names of the tensors that describe a region, as RegionSelect returns them.

    Attributes:
        rows: int32 [R], flat positions of its pixels, ascending.
        index: int32 [N, H, W], row + 1 at its pixels and 0 elsewhere.
        count: int32 [1], number of valid rows.
        hard: bool or int32 [N, 1, H, W], whether a pixel is in it; empty where only the readers
            of the others are known.
    """

    rows: str
    index: str
    count: str
    hard: str = ""


@dataclass(frozen=True)
class RegionOperator:
    """The schema of an operator.

    Attributes:
        name: of the operator, its function and its plugin.
        summary: one line.
        inputs, outputs, attributes: in order.
        plugin_only: not in the exchange format.
    """

    name: str
    summary: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    attributes: tuple[Attribute, ...] = ()
    plugin_only: bool = False

    def inputs_of(self, form: Form) -> tuple[Tensor, ...]:
        """The inputs of a form; a variadic one counts once.

        Args:
            form: of the operator.
        """
        return tuple(t for t in self.inputs if form.output is not None or not t.int8_only)

    def attributes_of(self, form: Form) -> tuple[Attribute, ...]:
        """The attributes of a form.

        Args:
            form: of the operator.
        """
        return tuple(a for a in self.attributes if form.segments or not a.plugin_only)

    def signature(self, form: Form = EXCHANGE) -> str:
        """The first line of the operator's function in ONNX's text form.

        A variadic input ``x`` becomes ``x_0``, ``x_1`` and so on, except in the exchange format.

        Args:
            form: the overload.
        """
        inputs: list[str] = []
        for tensor in self.inputs_of(form):
            if tensor.variadic and form.segments is not None:
                inputs += [f"{tensor.name}_{i}" for i in range(form.segments)]
            else:
                inputs.append(tensor.name)
        attributes = ", ".join(
            f"{a.name}: {a.kind} = {a.default}" if a.has_default else a.name
            for a in self.attributes_of(form)
        )
        outputs = ", ".join(tensor.name for tensor in self.outputs)
        bracketed = f" <{attributes}>" if attributes else ""
        return f"{self.name}{bracketed} ({', '.join(inputs)}) => ({outputs})"

    def node(
        self,
        name: str,
        outputs: Sequence[str],
        *,
        form: Form = EXCHANGE,
        region: Region | None = None,
        **arguments: str | Sequence[str] | Value | Sequence[int],
    ) -> onnx.NodeProto:
        """A node of this operator.

        Args:
            name: of the node.
            outputs: their names, in order.
            form: which overload of the function it calls.
            region: gives those of ``rows``, ``index`` and ``count`` that are no arguments.
            **arguments: a tensor's name per input, a list for a variadic one, and a value per
                attribute; attributes that are left out have their defaults.

        Raises:
            ValueError: an argument is missing or unknown, or has not the kind or number of values
                that the schema says.
        """
        inputs: list[str] = []
        for tensor in self.inputs_of(form):
            value = arguments.pop(tensor.name, None)
            if value is None and region is not None:
                value = getattr(region, tensor.name, None)
            inputs += self._tensors(tensor, value, form)
        attributes: dict[str, Any] = {}
        for attribute in self.attributes_of(form):
            if attribute.name in arguments:
                attributes[attribute.name] = self._value(attribute, arguments.pop(attribute.name))
            elif not attribute.has_default:
                raise ValueError(f"{self.name}: no attribute {attribute.name!r}")
        if arguments:
            raise ValueError(f"{self.name}{_said(form)} has no {sorted(arguments)[0]!r}")
        if len(outputs) != len(self.outputs):
            raise ValueError(f"{self.name} has {len(self.outputs)} outputs, not {len(outputs)}")
        return helper.make_node(
            self.name, inputs, outputs, name=name, domain=DOMAIN, overload=form.overload,
            **attributes,
        )  # fmt: skip

    def _tensors(self, tensor: Tensor, value: object, form: Form) -> list[str]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, Sequence) or not all(isinstance(n, str) and n for n in names):
            raise ValueError(f"{self.name}{_said(form)}: no input {tensor.name!r}")
        number = (form.segments or 1) if tensor.variadic else 1
        if len(names) != number:
            raise ValueError(
                f"{self.name}{_said(form)}: {len(names)} of {tensor.name!r}, expected {number}"
            )
        return list(names)

    def _value(self, attribute: Attribute, value: object) -> Value:
        problem = ValueError(f"{self.name}: {attribute.name} is {value!r}")
        if attribute.kind == "ints":
            if not isinstance(value, Sequence) or not all(isinstance(v, int) for v in value):
                raise problem
            if attribute.length is not None and len(value) != attribute.length:
                raise problem
            return tuple(value)
        if attribute.kind == "float" and isinstance(value, (int, float)):
            return float(value)
        if attribute.kind != "int" or not isinstance(value, int):
            raise problem
        if attribute.choices is not None and not 0 <= value < attribute.choices:
            raise problem
        return int(value)


def _said(form: Form) -> str:
    return f" ({form.overload})" if form.overload else ""


def is_region(node: onnx.NodeProto, *operators: RegionOperator) -> bool:
    """Whether a node is one of these region operators.

    Args:
        node: of any operator.
        *operators: any of our domain, if none is named.
    """
    return node.domain == DOMAIN and (
        not operators or any(node.op_type == operator.name for operator in operators)
    )
