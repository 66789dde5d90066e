"""Temporal reuse: an unchanged hard pixel reuses the result of an earlier frame.

    stage 1 -> pixels that changed since their last full computation -> active of RegionSelect
    stages 2 and 3 -> results of computed pixels, merged with stored results of the others

The state is an input ``past_*`` and an output ``present_*``, which the runtime passes from frame to
frame. With zeros in ``past_stages``, all pixels are computed, and the outputs equal those of the
model without this pass.
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

# A pixel alone counts as changed beyond this multiple of the tolerance, to detect small objects.
# it; docs/reuse.md compares smaller values.
AROUND = 15
# A single pixel beyond this multiple of the tolerance counts as changed, to detect small objects.
OWN = 2.0
# Radius in cells around a recomputed pixel that is computed as well, because neighbours outside
# the region read as 0. These cells keep their stored results.
CONTEXT = 2


@dataclass(frozen=True)
class TemporalReuse:
    """Adds the inputs and outputs of temporal reuse (`lc_trt.ir.interface`) to a cascade.

    With f(q) the features of pixel q at the start of stage 2 and r(q) those at its last full
    computation, a hard pixel p has changed if, over the hard pixels q up to ``AROUND`` cells away,

        sum |f(q) - r(q)|^2 > tolerance^2 * sum |f(q)|^2

    or if |f(p) - r(p)| > ``OWN`` * tolerance * |f(p)|. An unchanged pixel reuses its result if it
    is valid at the thresholds of the current frame: it exited at stage 3, or at stage 2 with a
    confidence that still exceeds the threshold. If more than a given share (``cut``) of the hard
    pixels of an image cannot reuse theirs, all are computed and the stored results are dropped.

    Sizes may be symbolic or fixed. Raises LcTrtError if the graph is not such a cascade.
    """

    name: ClassVar[str] = "temporal_reuse"

    def apply(self, graph: Graph) -> PassReport:
        """Add the inputs, outputs and nodes.

        Args:
            graph: graph to edit in place.
        """
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
        """Declare inputs and outputs, with known sizes."""
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
        """Read the stored results, and find those that are valid at the current thresholds."""
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
        """Find the pixels that reuse a result, get a new one, or are computed."""
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
        """Average over the surrounding hard pixels; proportional to the sum, which is enough."""
        # Not a product with the mask: 0 times NaN is NaN, and easy pixels must not count.
        zero = self.const(f"{name}/zero", 0, "float32")
        x = self.add("Where", self.hard, x, zero, name=f"{name}/of_hard")
        for axis in (0, 1):  # separable: 62 additions per cell instead of 961
            side, pads = [1, 1], [0, 0, 0, 0]
            side[axis], pads[axis], pads[axis + 2] = 2 * AROUND + 1, AROUND, AROUND
            x = self.add(
                "AveragePool", x, name=f"{name}/around{axis}",
                kernel_shape=side, pads=pads, count_include_pad=1,
            )  # fmt: skip
        return x

    def within(self, distance: str, length: str, factor: str, name: str) -> str:
        bound = self.add("Mul", length, factor, name=f"{name}/bound")
        # LessOrEqual rather than a negated Greater, so that NaN counts as changed.
        return self.add("LessOrEqual", distance, bound, name=name)

    def count(self, mask: str, name: str) -> str:
        axes = self.const(f"{name}/axes", [1, 2, 3], "int64")
        return self.add("ReduceSum", self.as_float(mask, name), axes, name=name, keepdims=1)

    def dilate(self, mask: str) -> str:
        """Dilate a mask by ``CONTEXT`` cells."""
        side, pads = [2 * CONTEXT + 1] * 2, [CONTEXT] * 4
        number = self.as_float(mask, "context")
        largest = self.add("MaxPool", number, name="context/max", kernel_shape=side, pads=pads)
        return self.add("Cast", largest, name="context", to=TensorProto.BOOL)

    def replace_results(self, points: ReusePoints) -> dict[str, str]:
        """Merged tensors that replace the results of the current frame."""
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
        # CONTEXT is the sum of both values.
        parts = [
            self.add(
                "Mul",
                self.add("Cast", mask, name=f"work/{value}", to=TensorProto.INT32),
                self.const(f"value/{value}", value, "int32"),
                name=f"work/{value}",
            )
            for value, mask in masks.items()
        ]
        self.as_bytes(self.add("Add", *parts, name="work"), WORK)

    def as_bytes(self, x: str, output: str) -> None:
        """Convert int32 [N, 1, h, w] to an output, uint8 [N, h, w]."""
        squeezed = self.add("Squeeze", x, self.channel, name=f"{output}/squeezed")
        self.add("Cast", squeezed, name=output, output=output, to=TensorProto.UINT8)

    def place(
        self,
        before: list[onnx.NodeProto],
        after: list[onnx.NodeProto],
        points: ReusePoints,
        replaced: dict[str, str],
    ) -> None:
        """Insert the new nodes after their inputs and before their readers."""
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
