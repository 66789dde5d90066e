"""What INT8 needs to know of the network as calibration saw it, before anything is lowered."""

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
    """Notes the quantisation plan and the region convolutions that become INT8.

    Attributes:
        quantization: says what stays in floating point.
        state: gets all but `LoweringState.channels`.
    """

    name: ClassVar[str] = "int8_plan"
    quantization: Quantization
    state: LoweringState

    def apply(self, graph: Graph) -> PassReport:
        """Note them; nothing is rewritten."""
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
