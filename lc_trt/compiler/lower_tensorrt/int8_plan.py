"""Record the quantisation plan before the lowering, in terms of the calibrated network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import LoweringState, region_conv
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.compiler.passes.quantization_plan import make_plan, quantised_inputs


@dataclass(frozen=True)
class Int8Plan:
    """Records the quantisation plan and the region convolutions to run in INT8.

    Attributes:
        quantization: ranges, and the convolutions that stay in floating point.
        state: shared state; all but `LoweringState.channels` is set.
    """

    name: ClassVar[str] = "int8_plan"
    quantization: Quantization
    state: LoweringState

    def apply(self, graph: Graph) -> PassReport:
        """Record the plan; nothing is rewritten.

        Args:
            graph: is only read.
        """
        plan, keep = make_plan(graph), self.quantization.keep
        convolutions = set(plan.convolutions) - set(keep)
        self.state.plan = plan
        self.state.quantised = quantised_inputs(graph, plan, keep)
        self.state.int8_convolutions = {
            node.name
            for node in graph.nodes
            if region_conv(node) is not None and not convolutions.isdisjoint(node.output)
        }
        return PassReport()
