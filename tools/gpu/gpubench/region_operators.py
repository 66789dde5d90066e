"""Region operators of a lowered model, bound to memory: each is one call of our kernels.

They run exactly as lowered. Rows are in buffers allocated in advance for every pixel of the map.
Buffers with disjoint lifetimes share memory, as in an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx
import torch
from torch import Tensor

from gpubench.kernels import Kernels, RegionConv, Rows
from gpubench.nodes import OperatorNode, Step, device_tensor
from lc_trt.compiler.graph import Graph
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.operator_schema import Form, OutputType

OUTPUT_TYPES = {
    OutputType.INT8: torch.int8, OutputType.FP32: torch.float32,
    OutputType.FP16: torch.float16, OutputType.BF16: torch.bfloat16,
}  # fmt: skip


def no_residual(node: OperatorNode, graph: Graph) -> bool:
    """Whether a RegionConv has no residual, represented by zeros [1, 1]."""
    value = graph.constants.get(node.tensor("residual"))
    return value is not None and value.shape == (1, 1) and not value.any()


class RowBuffers:
    """Memory for rows [R, C], assigned in the order of a pass.

    Args:
        nodes: nodes of the model, in order; a buffer is released after its last reader.
        device: device of the memory.
    """

    def __init__(self, nodes: Sequence[onnx.NodeProto], device: torch.device) -> None:
        self._device = device
        self._last_use = {name: i for i, node in enumerate(nodes) for name in node.input}
        self._free: dict[tuple[int, int, torch.dtype], list[Tensor]] = {}
        self._live: dict[str, Tensor] = {}
        self.all: dict[str, Tensor] = {}

    def take(self, name: str, rows: int, channels: int, dtype: torch.dtype) -> Tensor:
        """Assign a buffer to a tensor.

        Args:
            name: name of the tensor.
            rows: number of rows.
            channels: channels per row.
            dtype: type of the values.
        """
        free = self._free.get((rows, channels, dtype))
        buffer = free.pop() if free else None
        if buffer is None:
            buffer = torch.zeros(rows, channels, dtype=dtype, device=self._device)
        self._live[name] = self.all[name] = buffer
        return buffer

    def release(self, node: int) -> None:
        """Release the buffers whose last reader is the node with this index."""
        for name in [n for n in self._live if self._last_use.get(n, node) <= node]:
            buffer = self._live.pop(name)
            self._free.setdefault((*buffer.shape, buffer.dtype), []).append(buffer)


class RegionOperators:
    """Creates the steps of the region operators of a model.

    Attributes:
        convs: the region convolutions, in order.
        buffers: memory of all tensors of rows.
    """

    def __init__(self, graph: Graph, kernels: Kernels) -> None:
        """Prepare a model.

        Args:
            graph: graph of the model.
            kernels: kernels that the steps call.
        """
        self._graph, self._kernels = graph, kernels
        self._regions: dict[str, Rows] = {}  # by rows, by index and by count
        self.buffers = RowBuffers(graph.nodes, kernels.device)
        self.convs: list[RegionConv] = []

    @property
    def tensors(self) -> set[str]:
        """Tensors that only region operators may read: rows and region tables."""
        return {*self.buffers.all, *self._regions}

    def step(self, node: OperatorNode) -> Step:
        """The step of a node of our domain.

        Args:
            node: node of the lowered model.

        Raises:
            LcTrtError: an operator, attribute or input that is not implemented; names the node.
        """
        builders: dict[str, Callable[[OperatorNode], Step]] = {
            "RegionSelect": self._select,
            "RegionGather": self._gather,
            "RegionRestrict": self._restrict,
            "RegionConv": self._conv,
            "RegionMaxPool": self._max_pool,
            "RegionQuantize": self._quantize,
            "RegionScatter": self._scatter,
        }
        if node.proto.domain != DOMAIN or node.proto.op_type not in builders:
            raise node.refusal("no such operator")
        step = builders[node.proto.op_type](node)
        node.check_read()
        return step

    # --- builders ------------------------------------------------------------------------------

    def _select(self, node: OperatorNode) -> Step:
        confidence, active, rho = (node.tensor(name) for name in ("confidence", "active", "rho"))
        n, _, h, w = self._map(node, "confidence")[0]
        region = Rows.empty((n, h, w), self._kernels.device)
        hard = torch.zeros(n, 1, h, w, dtype=torch.int32, device=self._kernels.device)
        self._regions |= {node.output(name): region for name in ("rows", "index", "count")}

        def run(confidence: Tensor, active: Tensor, rho: Tensor) -> tuple[Tensor, ...]:
            active = active.contiguous()
            self._kernels.select(confidence.contiguous(), active, rho, region, hard)
            return region.rows_tensor, region.index_tensor, region.count_tensor, hard

        return node.step(run, confidence, active, rho, writes=4)

    def _gather(self, node: OperatorNode) -> Step:
        x, region = node.tensor("x"), self._region(node, "rows", "count")
        shape, dtype = self._map(node, "x")
        y = self._rows_to(node, region, shape[1], dtype)

        def run(x: Tensor) -> Tensor:
            self._kernels.gather(x, region, y)
            return y

        return node.step(run, x)

    def _restrict(self, node: OperatorNode) -> Step:
        outer, inner = self._region(node, "index"), self._region(node, "rows", "count")
        x = self._rows(node, node.tensor("x"))
        y = self._rows_to(node, inner, x.shape[1], x.dtype)
        return self._bound(node, y, lambda: self._kernels.restrict(x, outer, inner, y))

    def _max_pool(self, node: OperatorNode) -> Step:
        region, x = self._region(node, "rows", "index", "count"), self._rows(node, node.tensor("x"))
        y, window = self._rows_to(node, region, x.shape[1], x.dtype), _window(node)
        return self._bound(node, y, lambda: self._kernels.max_pool(x, region, y, window))

    def _quantize(self, node: OperatorNode) -> Step:
        region, x = self._region(node, "count"), self._rows(node, node.tensor("x"))
        y, scale = self._rows_to(node, region, x.shape[1], torch.int8), node.attribute("scale")
        return self._bound(node, y, lambda: self._kernels.quantize(x, region, y, scale))

    def _scatter(self, node: OperatorNode) -> Step:
        region, x = self._region(node, "rows", "count"), self._rows(node, node.tensor("x"))

        def run(base: Tensor) -> Tensor:
            base = base.contiguous()
            y = torch.empty_like(base)
            self._kernels.scatter(x, region, base, y)
            return y

        return node.step(run, node.tensor("base"))

    def _conv(self, node: OperatorNode) -> Step:
        node.expect(weight_layout=1, activation=(0, 1))
        region = self._region(node, "rows", "index", "count")
        x = [self._rows(node, name) for name in node.tensors("x")]
        begins, ends = node.attribute("channel_begin"), node.attribute("channel_end")
        weight = node.constant("weight")
        bias = device_tensor(node.constant("bias"), self._kernels.device)
        residual = None
        if not no_residual(node, self._graph):
            residual = self._rows(node, node.tensor("residual"))
        output = Form.parse(node.proto.overload).output
        scales = None
        if output is not None:
            scales = device_tensor(node.constant("scale"), self._kernels.device)
        node.expect(output_type=0 if output is None else output.number)
        conv = RegionConv(
            node.name,
            list(zip(x, begins, ends, strict=True)),
            region,
            device_tensor(weight, self._kernels.device),
            bias,
            residual,
            self._rows_to(
                node, region, len(bias), x[0].dtype if output is None else OUTPUT_TYPES[output]
            ),
            _window(node),
            relu=bool(node.attribute("activation")),
            residual_scale=node.attribute("residual_scale"),
            scales=scales,
            residual_factor=node.attribute("residual_factor"),
        )
        self.convs.append(conv)
        return self._bound(node, conv.y, lambda: self._kernels.conv(conv))

    # --- common parts ---------------------------------------------------------------------------

    def _map(self, node: OperatorNode, name: str) -> tuple[tuple[int, ...], torch.dtype]:
        sizes, dtype = node.map_type(name)
        shape = tuple(size for size in sizes if size is not None)
        if len(shape) < len(sizes):
            raise node.refusal(f"the sizes of its {name!r} are {sizes}, expected fixed ones")
        return shape, dtype

    def _region(self, node: OperatorNode, *inputs: str) -> Rows:
        """The region that the inputs of a node describe."""
        regions = [self._regions.get(node.tensor(name)) for name in inputs]
        first = regions[0]
        if first is None or any(region is not first for region in regions):
            raise node.refusal(f"its {', '.join(inputs)} are not of one RegionSelect")
        return first

    def _rows(self, node: OperatorNode, name: str) -> Tensor:
        if name not in self.buffers.all:
            raise node.refusal(f"{name!r} is not the result of a region operator")
        return self.buffers.all[name]

    def _rows_to(
        self, node: OperatorNode, region: Rows, channels: int, dtype: torch.dtype
    ) -> Tensor:
        return self.buffers.take(node.proto.output[0], region.max_rows, channels, dtype)

    def _bound(self, node: OperatorNode, y: Tensor, launch: Callable[[], None]) -> Step:
        """Create a step that reads and writes only buffers."""

        def run() -> Tensor:
            launch()
            return y

        return node.step(run)


def _window(node: OperatorNode) -> tuple[int, int, int, int]:
    (kh, kw), (dh, dw) = node.attribute("kernel_shape"), node.attribute("dilations")
    return kh, kw, dh, dw
