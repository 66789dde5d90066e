"""The reference for the executor: the exchange ONNX in torch, with PyTorch's regions.

Operators on maps are those of the executor. It uses neither the lowering nor the kernels: region
operators are methods of `lc_trt.model.region.CompactRegion`, on the exported graph with folded
batch norms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import onnx
import torch
from torch import Tensor, nn

from gpubench.executor import Executor
from gpubench.nodes import OperatorNode, device_tensor
from gpubench.standard_operators import standard_step
from lc_trt.compiler.pass_manager import apply_passes
from lc_trt.compiler.passes.mixed_precision import ToHalf
from lc_trt.compiler.pipeline import prepare
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN, IMAGE, RHO
from lc_trt.ir.node_view import NodeView
from lc_trt.model.region import CompactRegion

Values = dict[str, Any]  # tensors; where a node reads what describes a region, the region itself
SMALLEST = 1e-30  # a probability, where its logarithm is taken


class Reference:
    """A cascade on given regions."""

    def __init__(
        self,
        source: onnx.ModelProto,
        size: tuple[int, int],
        batch: int,
        device: torch.device,
        precision: Literal["fp32", "fp16", "bf16"] = "fp32",
    ) -> None:
        """Prepare a model.

        Args:
            source: exchange model.
            size: (height, width) in pixels.
            batch: images per pass.
            device: device to run on.
            precision: other than FP32, what computes in it is what would in an engine.
        """
        graph = prepare(source, size, batch)
        if precision != "fp32":
            apply_passes(graph, [ToHalf(Precision.parse(precision))])
        self.output = probabilities_of(graph.nodes)
        self._constants = {
            name: device_tensor(value, device) for name, value in graph.constants.items()
        }
        self._steps: list[Callable[[Values], None]] = []
        for proto in graph.nodes:
            node = OperatorNode(proto, graph)
            self._steps.append(_region(node) if proto.domain == DOMAIN else _standard(node))
            if self.output in proto.output:
                break

    @torch.inference_mode()
    def __call__(self, image: Tensor, regions: Sequence[Tensor]) -> Tensor:
        """Probabilities float32 [N, K, h, w].

        Precisions are compared on the same regions, because rounding that moves a pixel across a
        threshold also changes its neighbours.

        Args:
            image: uint8 [N, H, W, 3].
            regions: regions of stages 2 and 3, bool [N, 1, h, w].
        """
        # No threshold is compared with: the regions are there.
        rho = torch.zeros(2, device=image.device)
        values: Values = {**self._constants, IMAGE: image, RHO: rho}
        values["regions"] = [CompactRegion(mask) for mask in regions]
        for step in self._steps:
            step(values)
        result: Tensor = values[self.output]
        return result


def probabilities_of(nodes: Iterable[onnx.NodeProto]) -> str:
    """Name of the merged probabilities, which are resized to the image's size.

    Args:
        nodes: nodes of a cascade or dense network, exchange or lowered.
    """
    producers, labels = {}, ""
    for node in nodes:
        producers.update(dict.fromkeys(node.output, node))
        if node.op_type == "ArgMax":
            labels = NodeView(node).input("data")
    return NodeView(producers[labels]).input("X")


def _standard(node: OperatorNode) -> Callable[[Values], None]:
    step = standard_step(node)

    def run(values: Values) -> None:
        values[step.writes[0]] = step.run(*(values[name] for name in step.reads))

    return run


def _region(node: OperatorNode) -> Callable[[Values], None]:
    """A region operator; the names of a region's tensors all stand for its `CompactRegion`."""
    if node.proto.op_type == "RegionSelect":

        def select(values: Values) -> None:
            region = values["regions"].pop(0)
            values.update({node.output(name): region for name in ("rows", "count")})
            n, _, h, w = region.hard.shape
            values[node.output("index")] = region.index.view(n, h, w)
            values[node.output("hard")] = region.hard

        return select
    operators = {
        "RegionGather": _gather,
        "RegionRestrict": _restrict,
        "RegionConv": _conv,
        "RegionMaxPool": _max_pool,
        "RegionScatter": _scatter,
    }
    if node.proto.op_type not in operators:
        raise node.refusal("no such operator in the exchange format")
    operator = operators[node.proto.op_type]

    def compute(values: Values) -> None:
        values[node.output("y")] = operator(node, values)

    return compute


def _gather(node: OperatorNode, values: Values) -> Tensor:
    region: CompactRegion = values[node.tensor("rows")]
    return region.gather(values[node.tensor("x")])


def _restrict(node: OperatorNode, values: Values) -> Tensor:
    inner: CompactRegion = values[node.tensor("rows")]
    x, index = values[node.tensor("x")], values[node.tensor("index")]
    rows: Tensor = x.index_select(0, index.reshape(-1)[inner.rows] - 1)
    return rows


def _scatter(node: OperatorNode, values: Values) -> Tensor:
    region: CompactRegion = values[node.tensor("rows")]
    return region.scatter(values[node.tensor("x")], values[node.tensor("base")])


def _max_pool(node: OperatorNode, values: Values) -> Tensor:
    region: CompactRegion = values[node.tensor("rows")]
    (kernel, width), (dilation, other) = (
        node.attribute(name) for name in ("kernel_shape", "dilations")
    )
    if (kernel, dilation) != (width, other):
        raise node.refusal("PyTorch's region has square windows only")
    return region.max_pool(values[node.tensor("x")], kernel, dilation)


def _conv(node: OperatorNode, values: Values) -> Tensor:
    region: CompactRegion = values[node.tensor("rows")]
    node.expect(activation=0, residual_scale=1.0)
    weight: Tensor = values[node.tensor("weight")]
    conv = nn.Conv2d(
        weight.shape[1], weight.shape[0], tuple(node.attribute("kernel_shape")),
        dilation=tuple(node.attribute("dilations")), device="meta",
    )  # fmt: skip
    conv.weight = nn.Parameter(weight, requires_grad=False)
    bias = values[node.tensor("bias")].to(weight.dtype)
    conv.bias = nn.Parameter(bias, requires_grad=False)
    x, index = values[node.tensor("x")], values[node.tensor("index")]
    if torch.equal(index.reshape(-1), region.index):
        return region.conv(x, conv)
    if not torch.equal(index.reshape(-1), torch.arange(1, len(x) + 1, device=index.device)):
        raise node.refusal("PyTorch's region reads its own rows or all of a map")
    rows = x.view(*index.shape, -1)
    return region.conv_map(rows.permute(0, 3, 1, 2), conv)


# --- comparison ----------------------------------------------------------------------------------


def regions_of(executor: Executor) -> list[Tensor]:
    """The regions of the last pass, bool [N, 1, h, w], one per stage from the second.

    Args:
        executor: executor of a cascade.
    """
    return [
        selection.hard.bool() for selection in executor.selections if selection.hard is not None
    ]


def distance(probabilities: Tensor, expected: Tensor) -> float:
    """``|x - y| / |y|`` of the logits: the logarithms of probabilities, up to a constant per pixel.

    Args:
        probabilities: float32 [N, K, h, w].
        expected: float32 [N, K, h, w].
    """
    x, y = (_centred(p) for p in (probabilities, expected))
    return float((x - y).norm() / y.norm())


def _centred(probabilities: Tensor) -> Tensor:
    logits = probabilities.double().clamp_min(SMALLEST).log()
    return logits - logits.mean(1, keepdim=True)


def check_regions(executor: Executor) -> None:
    """Check that the pixels of the last pass exited according to the thresholds.

    Args:
        executor: executor of a cascade.

    Raises:
        LcTrtError: a pixel exited below a threshold.
    """
    pairs = zip(executor.selections, executor.inputs[RHO], strict=True)
    for number, (selection, rho) in enumerate(pairs, start=1):
        confidence, active, hard = selection.confidence, selection.active, selection.hard
        assert confidence is not None and active is not None and hard is not None
        left = confidence[(active != 0) & (hard == 0)]
        if not bool((left > rho).all()):
            raise LcTrtError(f"pixels exited at stage {number} below its threshold")


def disagreement(
    executor: Executor, probabilities: str, reference: Reference, lower: Reference | None = None
) -> tuple[float, float]:
    """Compare a pass on the executor's inputs with the reference on the same regions.

    Args:
        executor: executor of a cascade.
        probabilities: name of the tensor of `probabilities_of`, which it returns.
        reference: reference of the same network, in FP32.
        lower: reference in the executor's precision.

    Returns:
        `distance` of the executor, and that of ``lower``, the rounding error; 0 without it.

    Raises:
        LcTrtError: pixels did not exit according to the thresholds.
    """
    output = executor()
    check_regions(executor)
    image, regions = executor.inputs[IMAGE], regions_of(executor)
    expected = reference(image, regions)
    rounding = 0.0 if lower is None else distance(lower(image, regions), expected)
    return distance(output[probabilities], expected), rounding
