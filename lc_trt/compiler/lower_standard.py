"""Region operators -> the standard operators that CPU engines run fastest.

The functions' own bodies would run too; this pass does better because it knows the
whole graph: a region's neighbour tables are made once for all convolutions of the same
window, positions come from constants, and the number of rows is rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import Array, EditableGraph, attributes, static_shapes
from lc_trt.compiler.quantize_lower import (
    Dequantized,
    find_dequantized,
    gather_windows,
    region_product,
    tap_products,
)
from lc_trt.errors import LcTrtError
from lc_trt.ir.functions import DOMAIN

_KEEPS_CHANNELS = (
    "Add", "BatchNormalization", "DequantizeLinear", "Mul", "QuantizeLinear", "Relu", "Softmax",
)  # fmt: skip


@dataclass(frozen=True)
class Lowering:
    """What a backend wants.

    Attributes:
        row_multiple: regions are padded to a multiple of this many rows by repeating the
            last one, whose results are then computed more than once and never read twice.
            OpenVINO compiles its kernels anew for every number of rows it has not met, which
            costs milliseconds and memory without bound; 64 leaves few different numbers.
        float_products: whether integer kernels give floating point results. ONNX Runtime's do
            not: there a product that is not quantised is computed in FP32.
    """

    row_multiple: int = 1
    float_products: bool = False


@dataclass
class _Region:
    """The tensors that stand for one RegionSelect's outputs."""

    prefix: str
    rows: str  # int64 [R], padded
    hard: str  # bool [N, 1, h, w]
    flat_index: str  # int64 [1 + N*h*w]: 0, then row + 1 at a region's pixel, 0 elsewhere
    size: tuple[int, int, int]
    tables: dict[tuple[int, ...], str] = field(default_factory=dict)


def lower_standard(model: onnx.ModelProto, lowering: Lowering) -> onnx.ModelProto:
    """The same model in standard operators only; its size must be fixed (see `fold.freeze`)."""
    return _Lowerer(model, lowering).run()


class _Lowerer:
    def __init__(self, model: onnx.ModelProto, lowering: Lowering) -> None:
        self.graph = EditableGraph(model)
        self.shapes = static_shapes(model)
        self.lowering = lowering
        self.regions: dict[str, _Region] = {}  # by the name of their rows
        self.of_index: dict[str, _Region] = {}  # by the name of their index
        self.nodes: list[onnx.NodeProto] = []
        self.row_channels: dict[str, int] = {}
        self.dequantized: dict[str, Dequantized] = {}
        self.map_size: tuple[int, int, int] | None = None

    def run(self) -> onnx.ModelProto:
        rules = {
            "RegionSelect": self.select,
            "RegionGather": self.gather,
            "RegionRestrict": self.restrict,
            "RegionConv": self.conv,
            "RegionMaxPool": self.max_pool,
            "RegionScatter": self.scatter,
        }
        for node in self.graph.nodes:
            if node.domain != DOMAIN:
                self.nodes.append(node)
                self.follow_channels(node)
                self.dequantized |= find_dequantized(node)
            elif node.op_type in rules:
                rules[node.op_type](node)
            else:
                raise LcTrtError(f"node {node.name!r}: unknown operator {DOMAIN}.{node.op_type}")
        self.graph.nodes = self.nodes
        return self.graph.model()

    def add(
        self, op_type: str, *inputs: str, name: str, output: str | None = None, **attrs: Any
    ) -> str:
        node = self.graph.make(
            op_type, inputs, name, outputs=None if output is None else [output], **attrs
        )
        self.nodes.append(node)
        return str(node.output[0])

    def const(self, name: str, value: npt.ArrayLike, dtype: str) -> str:
        return self.graph.constant(name, value, dtype)

    def select(self, node: onnx.NodeProto) -> None:
        confidence, active, rho = node.input
        rows, index_output, _, hard = node.output
        p = node.name
        if self.map_size is None:
            shape = self.shapes.get(confidence)
            if shape is None:
                raise LcTrtError(f"node {p!r}: the map's size is not fixed; freeze the model first")
            self.map_size = (shape[0], shape[2], shape[3])
        sure = self.add("Greater", confidence, rho, name=f"{p}/sure")
        unsure = self.add("Not", sure, name=f"{p}/unsure")
        self.add("And", active, unsure, name=f"{p}/hard", output=hard)
        flat = self.add("Reshape", hard, self.const(f"{p}/flat", [-1], "int64"), name=f"{p}/flat")
        found = self.add("NonZero", flat, name=f"{p}/nonzero")
        exact = self.add("Squeeze", found, self.const(f"{p}/axis", [0], "int64"), name=f"{p}/exact")
        ones = self.add("Cast", flat, name=f"{p}/ones", to=TensorProto.INT64)
        running = self.add("CumSum", ones, self.const(f"{p}/axis", 0, "int64"), name=f"{p}/cumsum")
        index = self.add("Mul", running, ones, name=f"{p}/index")
        with_zero = self.add(
            "Concat", self.const(f"{p}/zero", [0], "int64"), index, name=f"{p}/index_zero", axis=0
        )
        region = _Region(p, self.pad_rows(p, exact, rows), hard, with_zero, self.map_size)
        self.regions[rows] = self.of_index[index_output] = region

    def pad_rows(self, p: str, exact: str, output: str) -> str:
        """Row numbers, the last repeated up to a multiple; none stays none."""
        multiple = self.lowering.row_multiple
        if multiple == 1:
            return self.add("Identity", exact, name=f"{p}/rows", output=output)
        count = self.add("Size", exact, name=f"{p}/count")
        step = self.const(f"{p}/multiple", multiple, "int64")
        more = self.add(
            "Add", count, self.const(f"{p}/round", multiple - 1, "int64"), name=f"{p}/up"
        )
        groups = self.add("Div", more, step, name=f"{p}/groups")
        padded = self.add("Mul", groups, step, name=f"{p}/padded")
        one = self.const(f"{p}/one", 1, "int64")
        numbers = self.add(
            "Range", self.const(f"{p}/start", 0, "int64"), padded, one, name=f"{p}/range"
        )
        last = self.add("Sub", count, one, name=f"{p}/last")
        clipped = self.add("Min", numbers, last, name=f"{p}/clipped")
        return self.add("Gather", exact, clipped, name=f"{p}/rows", output=output, axis=0)

    def gather(self, node: onnx.NodeProto) -> None:
        x, rows, _ = node.input
        flat = self.flatten(x, node.name)
        region = self.regions[rows]
        self.add("Gather", flat, region.rows, name=node.name, output=node.output[0], axis=0)
        self.row_channels[node.output[0]] = self.shapes[x][1]

    def flatten(self, x: str, p: str) -> str:
        """[N, C, h, w] -> [N*h*w, C]."""
        last = self.add("Transpose", x, name=f"{p}/nhwc", perm=[0, 2, 3, 1])
        # 0 copies a dimension that -1 could not tell apart; channels come from the map itself.
        channels = self.shapes[x][1]
        shape = self.const(f"{p}/flat", [-1, channels], "int64")
        return self.add("Reshape", last, shape, name=f"{p}/flat")

    def restrict(self, node: onnx.NodeProto) -> None:
        x, previous_index, rows, _ = node.input
        previous, region, p = self.of_index[previous_index], self.regions[rows], node.name
        one = self.const(f"{p}/one", 1, "int64")
        # flat_index starts with the entry for "missing", so position q stands at q + 1.
        shifted = self.add("Add", region.rows, one, name=f"{p}/shifted")
        numbers = self.add("Gather", previous.flat_index, shifted, name=f"{p}/numbers", axis=0)
        before = self.add("Sub", numbers, one, name=f"{p}/before")
        self.add("Gather", x, before, name=p, output=node.output[0], axis=0)
        self.row_channels[node.output[0]] = self.channels(x)

    def conv(self, node: onnx.NodeProto) -> None:
        x, rows, _, _, weight_name, bias, residual = node.input
        found, p = attributes(node), node.name
        decoded = self.dequantized.get(weight_name)
        weight = self.graph.constants.get(decoded.x if decoded else weight_name)
        if weight is None:
            raise LcTrtError(f"node {p!r}: its weight is not a constant")
        factor = float(found.get("residual_scale", 1.0))
        kernel = tuple(found["kernel_shape"])
        key = (*kernel, *found["dilations"])
        outputs, inputs = weight.shape[:2]
        # Products are floats, four bytes each, where gathered rows are one byte a channel.
        few = 4 * outputs <= inputs and self.lowering.float_products
        if decoded and (kernel == (1, 1) or not few):
            y = region_product(
                self.add, self.const, self.graph.constants, self.dequantized[x], decoded, bias,
                None if kernel == (1, 1) else self.table(self.regions[rows], key), p,
            )  # fmt: skip
        else:
            if decoded:
                y = tap_products(
                    self.add, self.const, self.graph.constants, self.dequantized[x], decoded, p
                )
                y = self.sum_of_taps(y, outputs, self.regions[rows], key, p)
            elif kernel == (1, 1):
                y = self.matmul(x, weight.reshape(outputs, inputs).T, p)
            elif outputs < inputs:
                y = self.project_then_gather(x, weight, self.regions[rows], key, p)
            else:
                y = self.gather_then_multiply(x, weight, self.regions[rows], key, p)
            y = self.add("Add", y, bias, name=f"{p}/bias")
        if factor != 1.0:
            y = self.add("Mul", y, self.const(f"{p}/factor", factor, "float32"), name=f"{p}/scaled")
        if residual not in self.graph.constants:
            y = self.add("Add", y, residual, name=f"{p}/residual")
        if found.get("activation", 0):
            y = self.add("Relu", y, name=f"{p}/relu")
        self.nodes[-1].output[0] = node.output[0]
        self.row_channels[node.output[0]] = outputs

    def matmul(self, x: str, matrix: Array, p: str) -> str:
        weight = self.const(f"{p}/matrix", np.ascontiguousarray(matrix), str(matrix.dtype))
        return self.add("MatMul", x, weight, name=f"{p}/matmul")

    def gather_then_multiply(
        self, x: str, weight: Array, region: _Region, key: tuple[int, ...], p: str
    ) -> str:
        """Rows of the window side by side, then one product: [R, taps * Cin] x [.., Cout]."""
        outputs, inputs = weight.shape[:2]
        taps = key[0] * key[1]
        windows = self.windows(x, inputs, self.table(region, key), p)
        shape = self.const(f"{p}/patch", [-1, taps * inputs], "int64")
        patches = self.add("Reshape", windows, shape, name=f"{p}/patches")
        return self.matmul(patches, weight.transpose(2, 3, 1, 0).reshape(-1, outputs), p)

    def project_then_gather(
        self, x: str, weight: Array, region: _Region, key: tuple[int, ...], p: str
    ) -> str:
        """Every tap's product first, then the window's sum.

        The same multiplications, but what is gathered is Cout wide instead of Cin: with 21
        classes from 2048 channels a hundredth of the memory traffic.
        """
        outputs, inputs = weight.shape[:2]
        matrix = weight.reshape(outputs, inputs, -1).transpose(1, 2, 0).reshape(inputs, -1)
        return self.sum_of_taps(self.matmul(x, matrix, p), outputs, region, key, p)

    def sum_of_taps(
        self, products: str, outputs: int, region: _Region, key: tuple[int, ...], p: str
    ) -> str:
        """[R, Cout]: of each tap's product [R, taps * Cout] the one of the row that it reads."""
        taps = key[0] * key[1]
        shape = self.const(f"{p}/per_tap", [-1, outputs], "int64")
        per_tap = self.add("Reshape", products, shape, name=f"{p}/per_tap")
        windows = self.windows(per_tap, outputs, self.tap_table(region, key, taps), p)
        axis = self.const(f"{p}/axis", [1], "int64")
        # Without the axis kept OpenVINO 2026.4 fuses a following QuantizeLinear into the sum and
        # gives wrong codes (tests/compiler/test_quantize.py).
        total = self.add("ReduceSum", windows, axis, name=f"{p}/sum", keepdims=1)
        flat = self.const(f"{p}/flat", [-1, outputs], "int64")
        return self.add("Reshape", total, flat, name=f"{p}/flat")

    def windows(self, x: str, channels: int, table: str, p: str) -> str:
        """[R, taps, C]: rows by table, where entry 0 is a row of zeros."""
        zero = self.const(f"{p}/zero_row", np.zeros((1, channels)), "float32")
        with_zero = self.add("Concat", zero, x, name=f"{p}/with_zero", axis=0)
        return self.add("Gather", with_zero, table, name=f"{p}/windows", axis=0)

    def table(self, region: _Region, key: tuple[int, ...]) -> str:
        """int64 [R, taps]: row + 1 of each neighbour, 0 where there is none."""
        if key not in region.tables:
            p = f"{region.prefix}/table_{'x'.join(map(str, key))}"
            positions = self.const(f"{p}/positions", neighbour_positions(region.size, key), "int64")
            of_rows = self.add("Gather", positions, region.rows, name=f"{p}/taps", axis=0)
            region.tables[key] = self.add("Gather", region.flat_index, of_rows, name=p, axis=0)
        return region.tables[key]

    def tap_table(self, region: _Region, key: tuple[int, ...], taps: int) -> str:
        """The same for rows of one tap's product each: row r, tap t stands at r * taps + t."""
        tap_key = (*key, -1)
        if tap_key not in region.tables:
            table = self.table(region, key)
            p = f"{table}/per_tap"
            base = self.add("Mul", table, self.const(f"{p}/taps", taps, "int64"), name=f"{p}/base")
            # (row + 1 - 1) * taps + t + 1 where there is a neighbour; never positive where not.
            offset = self.const(f"{p}/offset", np.arange(taps)[None] + 1 - taps, "int64")
            entry = self.add("Add", base, offset, name=f"{p}/entry")
            there = self.add("Min", table, self.const(f"{p}/one", 1, "int64"), name=f"{p}/there")
            region.tables[tap_key] = self.add("Mul", entry, there, name=p)
        return region.tables[tap_key]

    def max_pool(self, node: onnx.NodeProto) -> None:
        x, rows = node.input[:2]
        found = attributes(node)
        table = self.table(self.regions[rows], (*found["kernel_shape"], *found["dilations"]))
        channels = self.channels(x)
        decoded = self.dequantized.get(x)
        if decoded:
            windows = gather_windows(
                self.add, self.const, self.graph.constants, decoded, channels, table, node.name
            )
            windows = self.add(
                "DequantizeLinear", windows, decoded.scale, decoded.zero, name=f"{node.name}/dq"
            )
        else:
            windows = self.windows(x, channels, table, node.name)
        axis = self.const(f"{node.name}/axis", [1], "int64")
        self.add("ReduceMax", windows, axis, name=node.name, output=node.output[0], keepdims=0)
        self.row_channels[node.output[0]] = channels

    def follow_channels(self, node: onnx.NodeProto) -> None:
        """Channels of compact rows: ONNX's inference does not look through our operators."""
        known = [self.row_channels[name] for name in node.input if name in self.row_channels]
        if known and node.op_type == "Concat" and len(known) == len(node.input):
            self.row_channels[node.output[0]] = sum(known)
        elif known and node.op_type in _KEEPS_CHANNELS:
            self.row_channels[node.output[0]] = known[0]

    def channels(self, x: str) -> int:
        if x not in self.row_channels:
            raise LcTrtError(f"tensor {x!r}: its number of channels could not be inferred")
        return self.row_channels[x]

    def scatter(self, node: onnx.NodeProto) -> None:
        x, rows, _, base = node.input
        region, p = self.regions[rows], node.name
        n, h, w = region.size
        channels = self.shapes[base][1]
        zero = self.const(f"{p}/zero_row", np.zeros((1, channels)), "float32")
        with_zero = self.add("Concat", zero, x, name=f"{p}/with_zero", axis=0)
        index = self.add(
            "Slice", region.flat_index, self.const(f"{p}/from", [1], "int64"),
            self.const(f"{p}/to", [n * h * w + 1], "int64"), name=f"{p}/index",
        )  # fmt: skip
        spread = self.add("Gather", with_zero, index, name=f"{p}/spread", axis=0)
        shape = self.const(f"{p}/shape", [n, h, w, channels], "int64")
        last = self.add("Reshape", spread, shape, name=f"{p}/nhwc")
        first = self.add("Transpose", last, name=f"{p}/nchw", perm=[0, 3, 1, 2])
        self.add("Where", region.hard, first, base, name=p, output=node.output[0])
        self.shapes[node.output[0]] = (n, channels, h, w)


def neighbour_positions(size: tuple[int, int, int], key: tuple[int, ...]) -> Array:
    """int64 [N*h*w, taps]: 1 + flat position of each neighbour, 0 outside the image.

    Args:
        size: (N, h, w).
        key: (kernel height, kernel width, dilation y, dilation x).
    """
    n, h, w = size
    kh, kw, dh, dw = key
    ph, pw = dh * (kh // 2), dw * (kw // 2)
    numbers = np.arange(1, n * h * w + 1).reshape(n, h, w)
    padded = np.pad(numbers, ((0, 0), (ph, ph), (pw, pw)))
    taps = [
        padded[:, y * dh : y * dh + h, x * dw : x * dw + w] for y in range(kh) for x in range(kw)
    ]
    return np.stack(taps, axis=-1).reshape(n * h * w, kh * kw)
