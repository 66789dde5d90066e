"""Read an exchange ONNX: is it one, what is in it, how many operations does each stage cost."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from lc_trt.errors import LcTrtError
from lc_trt.ir.functions import DOMAIN, REGION_OPERATORS, VERSION

CASCADE_INPUTS, CASCADE_OUTPUTS = {"image", "rho"}, {"labels", "stages", "confidence"}
DENSE_INPUTS, DENSE_OUTPUTS = {"image"}, {"labels", "confidence"}
MIN_OPSET = 18


def load_onnx(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file, external data included.

    Raises:
        LcTrtError: no such file, or not an ONNX.
    """
    path = Path(path)
    if not path.is_file():
        raise LcTrtError(
            f"{path}: no such file; expected an ONNX model ('lc-trt export' writes one)"
        )
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except DecodeError as error:
        raise LcTrtError(f"{path}: not an ONNX file ({path.stat().st_size} bytes read)") from error
    except (onnx.checker.ValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise LcTrtError(
            f"{path}: not a valid ONNX model: {reason}; write it again, with 'lc-trt export' or "
            "the exporter that made it"
        ) from error
    if not model.graph.node:
        raise LcTrtError(f"{path}: not an ONNX model: its graph is empty")
    return model


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operator set."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def exchange_kind(model: onnx.ModelProto) -> str | None:
    """``cascade`` or ``dense`` for our exchange format, None for another ONNX."""
    initializers = {t.name for t in model.graph.initializer}
    inputs = {i.name for i in model.graph.input} - initializers
    outputs = {o.name for o in model.graph.output}
    if inputs == CASCADE_INPUTS and outputs == CASCADE_OUTPUTS:
        return "cascade"
    if inputs == DENSE_INPUTS and outputs == DENSE_OUTPUTS:
        return "dense"
    return None


def check_region_operators(model: onnx.ModelProto, origin: str) -> None:
    """Refuse a cascade without three stages, and operators of our domain that are not ours.

    Those of another version, unknown ones, and those that were lowered.
    """
    region_nodes = [n for n in model.graph.node if n.domain == DOMAIN]
    versions = {o.version for o in model.opset_import if o.domain == DOMAIN}
    if region_nodes and versions != {VERSION}:
        found = " and ".join(map(str, sorted(versions))) or "none"
        raise LcTrtError(
            f"{origin}: has region operators of version {found}, this lc-trt reads version "
            f"{VERSION}; export it again with this version of lc-trt: lc-trt export"
        )
    for node in region_nodes:
        if node.op_type not in REGION_OPERATORS:
            raise LcTrtError(
                f"{origin}: node {node.name!r} is {DOMAIN}.{node.op_type}, expected one of "
                f"{', '.join(REGION_OPERATORS)}; export it with this version of lc-trt"
            )
        if node.overload:
            raise LcTrtError(
                f"{origin}: node {node.name!r} is in the form that TensorRT's plugin takes; build "
                "from the file that 'lc-trt export' wrote"
            )
    selects = sum(n.op_type == "RegionSelect" for n in region_nodes)
    if exchange_kind(model) == "cascade" and selects != 2:
        raise LcTrtError(f"{origin}: {selects} RegionSelect nodes, expected 2 (three stages)")


@dataclass(frozen=True)
class StageMacs:
    """Multiply-accumulates of one image, as if every pixel went through every part."""

    stage1: float = 0.0
    head1: float = 0.0
    stage2: float = 0.0
    head2: float = 0.0
    stage3: float = 0.0
    head3: float = 0.0

    @property
    def dense(self) -> float:
        """The dense network: all stages, the last head."""
        return self.stage1 + self.stage2 + self.stage3 + self.head3

    def at(self, share2: float, share3: float) -> float:
        """The cascade, when these shares (0..1) of the pixels reach stages 2 and 3."""
        return (
            self.stage1
            + self.head1
            + share2 * (self.stage2 + self.head2)
            + share3 * (self.stage3 + self.head3)
        )


def stage_macs(model: onnx.ModelProto, size: tuple[int, int]) -> StageMacs:
    """Operations of a cascade for one (height, width) image, by stage.

    A region convolution belongs to the stage of the RegionSelect its rows come from, a dense
    one to stage 1. In a stage, what the next stage does not read is its head.
    """
    costs = _macs(model, size)
    producers = {o: n for n in model.graph.node for o in n.output}
    selects = [n for n in model.graph.node if n.op_type == "RegionSelect" and n.domain == DOMAIN]
    stage_of_rows = {n.output[0]: i for i, n in enumerate(selects, start=2)}
    enters = [
        n.input[0]
        for n in model.graph.node
        if n.domain == DOMAIN and n.op_type in ("RegionGather", "RegionRestrict")
    ]
    trunk = {n.name for enter in enters for n in _feature_ancestors(enter, producers)}
    totals = dict.fromkeys(StageMacs.__dataclass_fields__, 0.0)
    for node in model.graph.node:
        cost = costs.get(node.name, 0.0)
        if not cost:
            continue
        stage = stage_of_rows[node.input[1]] if node.domain == DOMAIN else 1
        # Nothing reads stage 3's trunk but its head: there the exporter's name tells.
        in_head = node.name.startswith("head3") if stage == 3 else node.name not in trunk
        totals[f"{'head' if in_head else 'stage'}{stage}"] += cost
    return StageMacs(**totals)


def dense_macs(model: onnx.ModelProto, size: tuple[int, int]) -> float:
    """Multiply-accumulates of a dense model for one (height, width) image."""
    return sum(_macs(model, size).values())


def _feature_ancestors(name: str, producers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    found: dict[str, onnx.NodeProto] = {}
    todo = [name]
    while todo:
        node = producers.get(todo.pop())
        if node is not None and node.name not in found:
            found[node.name] = node
            # A region operator's features only: its rows come from a head, which is no trunk.
            todo.extend(node.input[:1] if node.domain == DOMAIN else node.input)
    return list(found.values())


def _macs(model: onnx.ModelProto, size: tuple[int, int]) -> dict[str, float]:
    """Multiply-accumulates by node name."""
    shapes = shapes_at(model, size)
    constants = {t.name: tuple(t.dims) for t in model.graph.initializer}
    shapes.update(constants)
    pixels = 0
    for node in model.graph.node:
        if node.domain == DOMAIN and node.op_type == "RegionSelect" and not pixels:
            pixels = prod(shapes[node.input[0]])
    costs: dict[str, float] = {}
    for node in model.graph.node:
        if node.domain == DOMAIN and node.op_type == "RegionConv":
            costs[node.name] = float(pixels * prod(shapes[node.input[4]]))
        elif node.op_type == "Conv":
            out = shapes[node.output[0]]
            costs[node.name] = float(prod(out) * prod(shapes[node.input[1]][1:]))
        elif node.op_type == "ConvTranspose":
            costs[node.name] = float(prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:]))
        elif node.op_type in ("MatMul", "Gemm"):
            out = shapes[node.output[0]]
            depth = shapes[node.input[0]][-1]
            if any(a.name == "transA" and a.i for a in node.attribute):
                depth = shapes[node.input[0]][0]
            costs[node.name] = float(prod(out) * depth)
    return costs


def shapes_at(model: onnx.ModelProto, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Static shapes of one image of (height, width); tensors inside regions are left out."""
    frozen = onnx.ModelProto()
    frozen.CopyFrom(model)
    for value in frozen.graph.input:
        if value.name == "image":
            for dim, fixed in zip(value.type.tensor_type.shape.dim, (1, *size, 3), strict=True):
                dim.dim_value = fixed
    inferred = onnx.shape_inference.infer_shapes(frozen, data_prop=True).graph
    shapes = {}
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        dims = value.type.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = tuple(d.dim_value for d in dims)
    return shapes
