"""Temporal reuse: a hard pixel that has not moved keeps the result of an earlier frame.

    stage 1 -> which pixels moved since their last full computation? -> active of RegionSelect
    stages 2 and 3 -> results, where a pixel was computed; elsewhere those that were kept

The state of a frame goes in as ``past_*`` and comes out as ``present_*``; who runs the model hands
it on. With zeros in ``past_stages`` everything is computed, and the outputs are those of the model
without this pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.compiler.passes.reuse_points import ReusePoints, ancestors, descendants
from lc_trt.ir.interface import (
    BATCH,
    FEATURE_HEIGHT,
    FEATURE_WIDTH,
    LIMITS,
    PAST,
    PRESENT,
    RHO,
    WORK,
    PixelWork,
)

# Cells to each side of a pixel whose movement counts for it, since its result depends on them.
# docs/reuse.md has what fewer give.
AROUND = 15
# What moves by itself, however small, is seen at this many tolerances.
OWN = 2.0
# Cells around a pixel that gets a new result which are computed as well, because a neighbour that
# is not in the region reads 0. They keep their earlier results.
CONTEXT = 2


@dataclass(frozen=True)
class TemporalReuse:
    """Gives a cascade in exchange form the inputs and outputs of `lc_trt.ir.interface`.

    With f(q) the features of pixel q at stage 2's entry and r(q) those at its last full
    computation, a hard pixel p has moved where over the hard pixels q up to ``AROUND`` cells from
    it

        sum |f(q) - r(q)|^2 > tolerance^2 * sum |f(q)|^2

    or where for itself |f(p) - r(p)| > ``OWN`` * tolerance * |f(p)|. It keeps its result where it
    has not moved and the result holds at the thresholds of this frame: it left at stage 3, or at
    stage 2 with a confidence that still lets it. Where more than a share of an image's hard
    pixels do not, all are computed and what was kept of the image is forgotten.

    Sizes may be symbolic or fixed. Raises LcTrtError where the graph is no cascade of that form.
    """

    name: ClassVar[str] = "temporal_reuse"

    def apply(self, graph: Graph) -> PassReport:
        """Add the inputs, outputs and what computes them."""
        _Reuse(graph).run()
        return PassReport(1)


class _Reuse:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        points = ReusePoints(self.graph)
        self.declare(points)
        self.read_state(points)
        self.find_unmoved(points)
        before, self.nodes = self.nodes, []
        replaced = self.replace_results(points)
        self.write_state(points)
        self.place(before, self.nodes, points, replaced)

    def add(
        self, op_type: str, *inputs: str, name: str, output: str | None = None, **attributes: Any
    ) -> str:
        outputs = None if output is None else [output]
        node = self.graph.make(op_type, inputs, f"reuse/{name}", outputs=outputs, **attributes)
        self.nodes.append(node)
        return str(node.output[0])

    def const(self, name: str, value: npt.ArrayLike, dtype: str) -> str:
        return self.graph.constant(f"reuse/{name}", value, dtype)

    def declare(self, points: ReusePoints) -> None:
        """The inputs and outputs, with the sizes that are known."""
        batch, channels, height, width = self.graph.dims(points.features) or (None,) * 4
        classes = (self.graph.dims(points.first_probabilities) or (None,) * 4)[1]
        size = (height or FEATURE_HEIGHT, width or FEATURE_WIDTH)
        images = batch or BATCH
        shapes: tuple[tuple[int | str, ...], ...] = (
            (images, channels or "channels", *size),
            (images, classes or "classes", *size),
            (images, *size),
        )
        kinds = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.UINT8)
        for names, values in ((PAST, self.graph.inputs), (PRESENT, self.graph.outputs)):
            values += [
                helper.make_tensor_value_info(name, kind, shape)
                for name, kind, shape in zip(names, kinds, shapes, strict=True)
            ]
        limits = helper.make_tensor_value_info(LIMITS, TensorProto.FLOAT, [2])
        work = helper.make_tensor_value_info(WORK, TensorProto.UINT8, shapes[-1])
        self.graph.inputs.append(limits)
        self.graph.outputs.append(work)

    def read_state(self, points: ReusePoints) -> None:
        """What was kept, and where it holds at this frame's thresholds."""
        self.features, self.probabilities, stages = PAST
        self.channel = self.const("channel", [1], "int64")
        unsqueezed = self.add("Unsqueeze", stages, self.channel, name="past_stages")
        self.stages = self.add("Cast", unsqueezed, name="stages", to=TensorProto.INT32)
        self.confidence = self.maximum(self.probabilities, "confidence")
        second = self.add("Gather", RHO, self.const("second", 1, "int64"), name="rho")
        sure = self.add("Greater", self.confidence, second, name="sure")
        at2 = self.add("Equal", self.stages, self.const("two", 2, "int32"), name="at2")
        at3 = self.add("Equal", self.stages, self.const("three", 3, "int32"), name="at3")
        left = self.add("And", at2, sure, name="left_at2")
        self.holds = self.add("Or", at3, left, name="holds")

    def maximum(self, x: str, name: str) -> str:
        return self.add("ReduceMax", x, self.channel, name=name, keepdims=1)

    def find_unmoved(self, points: ReusePoints) -> None:
        """Who keeps a result, who gets a new one, and who is computed."""
        tolerance = self.add("Gather", LIMITS, self.const("first", 0, "int64"), name="tolerance")
        cut = self.add("Gather", LIMITS, self.const("last", 1, "int64"), name="cut")
        easy = self.add("Greater", points.confidence, points.rho, name="easy")
        self.hard = self.add("Not", easy, name="hard")
        moved_by = self.add("Sub", points.features, self.features, name="moved_by")
        distance = self.add("ReduceSumSquare", moved_by, self.channel, name="distance", keepdims=1)
        length = self.add(
            "ReduceSumSquare", points.features, self.channel, name="length", keepdims=1
        )
        squared = self.add("Mul", tolerance, tolerance, name="squared")
        own = self.add("Mul", squared, self.const("own", OWN**2, "float32"), name="own")
        near = (self.around(distance, "distance"), self.around(length, "length"))
        still_near = self.within(*near, squared, "near")
        still_itself = self.within(distance, length, own, "itself")
        still = self.add("And", still_near, still_itself, name="still")
        usable = self.add("And", self.holds, still, name="usable")
        unusable = self.add("Not", usable, name="unusable")
        moved = self.add("And", self.hard, unusable, name="moved")
        most = self.add("Mul", self.count(self.hard, "hards"), cut, name="most")
        self.is_cut = self.add("Greater", self.count(moved, "moves"), most, name="is_cut")
        renewed = self.add("Or", moved, self.is_cut, name="renewed")
        self.renewed = self.add("And", self.hard, renewed, name="hard_renewed")
        self.active = self.add("And", points.active, self.dilate(renewed), name="active")
        self.entered = self.add("And", self.hard, self.active, name="entered")
        old = self.add("Not", renewed, name="old")
        self.kept = self.add("And", self.hard, old, name="kept")

    def as_float(self, mask: str, name: str) -> str:
        return self.add("Cast", mask, name=f"{name}/float", to=TensorProto.FLOAT)

    def around(self, x: str, name: str) -> str:
        """Over the hard pixels around each, as far as a common factor tells nothing: their mean."""
        # Not a product with the mask: 0 times NaN is NaN, and an easy pixel's must not count.
        zero = self.const(f"{name}/zero", 0, "float32")
        x = self.add("Where", self.hard, x, zero, name=f"{name}/of_hard")
        for axis in (0, 1):  # one direction after the other: 62 additions per cell, not 961
            side, pads = [1, 1], [0, 0, 0, 0]
            side[axis], pads[axis], pads[axis + 2] = 2 * AROUND + 1, AROUND, AROUND
            x = self.add(
                "AveragePool", x, name=f"{name}/around{axis}",
                kernel_shape=side, pads=pads, count_include_pad=1,
            )  # fmt: skip
        return x

    def within(self, distance: str, length: str, factor: str, name: str) -> str:
        bound = self.add("Mul", length, factor, name=f"{name}/bound")
        # So, and not as its opposite, that NaN has moved.
        return self.add("LessOrEqual", distance, bound, name=name)

    def count(self, mask: str, name: str) -> str:
        axes = self.const(f"{name}/axes", [1, 2, 3], "int64")
        return self.add("ReduceSum", self.as_float(mask, name), axes, name=name, keepdims=1)

    def dilate(self, mask: str) -> str:
        """A mask of what is up to ``CONTEXT`` cells from it."""
        side, pads = [2 * CONTEXT + 1] * 2, [CONTEXT] * 4
        number = self.as_float(mask, "context")
        largest = self.add("MaxPool", number, name="context/max", kernel_shape=side, pads=pads)
        return self.add("Cast", largest, name="context", to=TensorProto.BOOL)

    def replace_results(self, points: ReusePoints) -> dict[str, str]:
        """What the outputs read instead of each of this frame's results."""
        past = (self.probabilities, self.confidence, self.stages)
        return {
            now: self.add("Where", self.kept, before, now, name=f"result/{name}")
            for now, before, name in zip(points.results, past, PAST, strict=True)
        }

    def write_state(self, points: ReusePoints) -> None:
        probabilities, _, stages = points.results
        zero = self.const("zero", 0, "int32")
        remembered = self.add("Where", self.is_cut, zero, self.stages, name="remembered")
        pairs = ((points.features, self.features), (probabilities, self.probabilities))
        for output, (now, before) in zip(PRESENT[:2], pairs, strict=True):
            self.add("Where", self.renewed, now, before, name=output, output=output)
        left = self.add("Where", self.renewed, stages, remembered, name="state/stages")
        self.as_bytes(left, PRESENT[2])
        masks = {PixelWork.COMPUTED: self.entered, PixelWork.KEPT: self.kept}
        # The value of context is the sum of both.
        parts = [
            self.add(
                "Mul",
                self.add("Cast", mask, name=f"work/{value}", to=TensorProto.INT32),
                self.const(f"code/{value}", value, "int32"),
                name=f"work/{value}",
            )
            for value, mask in masks.items()
        ]
        self.as_bytes(self.add("Add", *parts, name="work"), WORK)

    def as_bytes(self, x: str, output: str) -> None:
        """int32 [N, 1, h, w] -> an output, uint8 [N, h, w]."""
        squeezed = self.add("Squeeze", x, self.channel, name=f"{output}/squeezed")
        self.add("Cast", squeezed, name=output, output=output, to=TensorProto.UINT8)

    def place(
        self,
        before: list[onnx.NodeProto],
        after: list[onnx.NodeProto],
        points: ReusePoints,
        replaced: dict[str, str],
    ) -> None:
        """Put new nodes between those that they need and those that need them."""
        nodes = self.graph.nodes
        needed = ancestors(nodes, (points.features, points.confidence, points.rho, points.active))
        readers = descendants(nodes, points.results)
        for node in readers:
            for i, name in enumerate(node.input):
                node.input[i] = replaced.get(name, name)
        points.select.set_input("active", self.active)
        first = {n.output[0] for n in needed}
        last = {n.output[0] for n in readers}
        between = [n for n in nodes if n.output[0] not in first | last]
        self.graph.nodes = [*needed, *before, *between, *after, *readers]
