"""Region operators of a lowered model, bound to memory: each is one call of our kernels.

They run exactly as lowered. Rows are in buffers allocated in advance for every pixel of the map.
Buffers with disjoint lifetimes share memory, as in an engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gpubench.kernels import Kernels, RegionConv, Rows
from gpubench.nodes import TORCH_TYPES, OperatorNode, Step, device_tensor
from gpubench.row_memory import RowBuffers, Source
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


@dataclass
class Selection:
    """Maps of a RegionSelect in the last pass, [N, 1, H, W]; None before the first.

    Attributes:
        confidence: floating.
        active: int32, nonzero where a pixel could be selected.
        hard: int32, 1 where it was.
    """

    confidence: Tensor | None = None
    active: Tensor | None = None
    hard: Tensor | None = None


class RegionOperators:
    """Creates the steps of the region operators of a model.

    Attributes:
        convs: the region convolutions, in order.
        selections: the RegionSelect nodes, in order.
        buffers: memory of all tensors of rows.
    """

    def __init__(self, graph: Graph, kernels: Kernels) -> None:
        """Prepare a model.

        Args:
            graph: graph of the model.
            kernels: kernels that the steps call.
        """
        self._graph, self._kernels = graph, kernels
        self._regions: dict[str, Rows] = {}  # by rows and by count
        self.buffers = RowBuffers(graph.nodes, kernels.device)
        self._indices: dict[str, Rows] = {}  # the same by index
        self.convs: list[RegionConv] = []
        self.selections: list[Selection] = []

    @property
    def tensors(self) -> set[str]:
        """Tensors that only region operators may read: rows, their positions and numbers."""
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
        self._regions |= {node.output(name): region for name in ("rows", "count")}
        self._indices[node.output("index")] = region
        selection = Selection()
        self.selections.append(selection)

        def run(confidence: Tensor, active: Tensor, rho: Tensor) -> tuple[Tensor, ...]:
            active = active.contiguous()
            self._kernels.select(confidence.contiguous(), active, rho, region, hard)
            selection.confidence, selection.active, selection.hard = confidence, active, hard
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
        inner, source = self._region(node, "rows", "count"), self._source(node)
        y = self._rows_to(node, inner, source.x[0].shape[1], source.x[0].dtype)

        def run(*values: Tensor) -> Tensor:
            source.take(values)
            self._kernels.restrict(source.x[0], source.region, inner, y)
            return y

        return node.step(run, *source.reads)

    def _max_pool(self, node: OperatorNode) -> Step:
        region, source = self._region(node, "rows", "count"), self._source(node)
        y = self._rows_to(node, region, source.x[0].shape[1], source.x[0].dtype)
        window = _window(node)

        def run(*values: Tensor) -> Tensor:
            source.take(values)
            self._kernels.max_pool(source.x[0], source.region, y, window)
            return y

        return node.step(run, *source.reads)

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
        region, source = self._region(node, "rows", "count"), self._source(node)
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
            list(zip(source.x, begins, ends, strict=True)),
            source.region,
            device_tensor(weight, self._kernels.device),
            bias,
            residual,
            self._rows_to(
                node,
                region,
                len(bias),
                source.x[0].dtype if output is None else OUTPUT_TYPES[output],
            ),
            _window(node),
            relu=bool(node.attribute("activation")),
            residual_scale=node.attribute("residual_scale"),
            scales=scales,
            residual_factor=node.attribute("residual_factor"),
        )
        self.convs.append(conv)

        def run(*values: Tensor) -> Tensor:
            source.take(values)
            conv.x = list(zip(source.x, begins, ends, strict=True))
            conv.region = source.region
            self._kernels.conv(conv)
            return conv.y

        return node.step(run, *source.reads)

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

    def _source(self, node: OperatorNode) -> Source:
        """What a node reads through its index: rows of a region, or tensors of other operators."""
        region, index = self._region(node, "rows", "count"), node.tensor("index")
        names, bound = node.tensors("x"), self.buffers.all
        if index in self._indices:
            numbered = self._indices[index]
            if numbered is not region:
                region = region.numbered(numbered.index_tensor)
            return Source([self._rows(node, name) for name in names], region)
        x = [bound[n] if n in bound else self._empty_rows(node, n) for n in names]
        places = {n: [i for i, other in enumerate(names) if other == n] for n in names}
        reads = {n: at for n, at in places.items() if n not in bound}
        if index in self._graph.constants:
            table = device_tensor(self._graph.constants[index], self._kernels.device)
            return Source(x, region.numbered(table), reads)
        return Source(x, region, reads, index)

    def _empty_rows(self, node: OperatorNode, name: str) -> Tensor:
        """Zeros in the shape of rows that standard operators make."""
        kind = self._graph.type_of(name)
        if kind.shape is None or len(kind.shape) != 2 or kind.element not in TORCH_TYPES:
            raise node.refusal(f"{name!r} is not known to be rows [P, C] of a fixed number")
        dtype = TORCH_TYPES[kind.element]
        return torch.zeros(kind.shape, dtype=dtype, device=self._kernels.device)

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
