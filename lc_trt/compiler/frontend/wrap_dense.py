"""Wrap a plain segmentation ONNX (image to class logits) as a dense exchange model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, inliner, version_converter

from lc_trt.compiler.frontend.read_onnx import opset
from lc_trt.data.classes import ClassSet, numbered
from lc_trt.errors import LcTrtError
from lc_trt.ir.builder import GraphBuilder, image_input, labels_output, map_output
from lc_trt.ir.interface import CONFIDENCE, IMAGE, LABELS, OPSET
from lc_trt.ir.metadata import ModelInfo, write_info

_PREFIX = "model/"  # separates the names of the plain network from ours
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


@dataclass(frozen=True)
class Normalisation:
    """Input normalisation of a plain network: ``(pixel - mean) / std``, pixels in 0 to 255.

    Attributes:
        mean: one value per channel, in the network's channel order.
        std: one value per channel, in the network's channel order.
        rgb: whether the network expects RGB instead of BGR.
    """

    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    rgb: bool = True


def wrap_plain(
    model: onnx.ModelProto,
    origin: str,
    size: tuple[int, int],
    normalisation: Normalisation,
    classes: ClassSet | None,
) -> onnx.ModelProto:
    """Wrap a plain network as a dense exchange model.

    Args:
        model: plain segmentation network; is not modified.
        origin: name of the model in messages.
        size: (height, width) in pixels; a fixed size of the network must equal it.
        normalisation: normalisation of the network's input.
        classes: names and colours; None for numbered classes.

    Raises:
        LcTrtError: not a segmentation network, or one with a different size or number of classes.
    """
    model = inliner.inline_local_functions(model)
    _name_nodes(model)
    if opset(model) < OPSET:
        model = _convert_opset(model, origin)
    image, channels_last = _image_input(model, origin)
    fixed = _fixed_size(image, channels_last)
    if fixed is not None and fixed != size:
        raise LcTrtError(
            f"{origin}: its input {image.name!r} is fixed at {fixed[0]}x{fixed[1]}, not "
            f"{size[0]}x{size[1]}; use --size {fixed[0]}x{fixed[1]}"
        )
    logits, count = _logits_output(model, origin, image, channels_last, size)
    if classes is not None and len(classes) != count:
        raise LcTrtError(
            f"{origin}: its output {logits.name!r} has {count} classes, --classes "
            f"{classes.name} has {len(classes)}"
        )
    classes = classes or numbered(count)
    before = _preprocessing(image, channels_last, normalisation)
    after = _postprocessing(logits)
    body = compose.add_prefix(model, _PREFIX)
    body.ir_version = before.ir_version = after.ir_version = max(
        model.ir_version, before.ir_version
    )
    del before.opset_import[:], after.opset_import[:]
    before.opset_import.extend(body.opset_import)
    after.opset_import.extend(body.opset_import)
    first = compose.merge_models(before, body, [("prepared", _PREFIX + image.name)])
    _keep_outputs(first, [_PREFIX + logits.name, "image_size"])
    whole = compose.merge_models(
        first, after, [(_PREFIX + logits.name, "logits"), ("image_size", "size")]
    )
    for value in whole.graph.output:
        value.CopyFrom(
            labels_output() if value.name == LABELS else map_output(CONFIDENCE, TensorProto.FLOAT)
        )
    name = model.graph.name or "network"
    info = ModelInfo("dense", name, classes.names, classes.colours, size)
    write_info(whole, info)
    return whole


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give each node a unique name: ONNX does not require one, but passes identify nodes by it."""
    names: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in names:
            node.name = f"{node.name or node.op_type}/node{index}"
        names.add(node.name)


def _convert_opset(model: onnx.ModelProto, origin: str) -> onnx.ModelProto:
    try:
        return version_converter.convert_version(model, OPSET)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise LcTrtError(
            f"{origin}: opset {opset(model)}, expected {OPSET} or newer, and it cannot be "
            f"converted ({reason}); export it with opset_version={OPSET}"
        ) from error


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    return [
        d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
    ]


def _no_segmentation(origin: str, problem: str, expected: str) -> LcTrtError:
    return LcTrtError(f"{origin}: not a segmentation network: {problem}; expected {expected}")


def _image_input(model: onnx.ModelProto, origin: str) -> tuple[onnx.ValueInfoProto, bool]:
    initializers = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in initializers]
    expected = "one image, float [N, 3, H, W] or [N, H, W, 3]"
    if len(inputs) != 1:
        names = ", ".join(i.name for i in inputs) or "none"
        raise _no_segmentation(origin, f"{len(inputs)} inputs ({names})", expected)
    (image,) = inputs
    dims, kind = _dims(image), image.type.tensor_type.elem_type
    if len(dims) != 4 or kind not in _FLOATS or 3 not in (dims[1], dims[3]):
        shape = [d or "?" for d in dims]
        name = TensorProto.DataType.Name(kind)
        raise _no_segmentation(origin, f"input {image.name!r} is {name} {shape}", expected)
    return image, dims[1] != 3


def _fixed_size(image: onnx.ValueInfoProto, channels_last: bool) -> tuple[int, int] | None:
    dims = _dims(image)
    height, width = (dims[1], dims[2]) if channels_last else (dims[2], dims[3])
    return None if height is None or width is None else (height, width)


def _logits_output(
    model: onnx.ModelProto,
    origin: str,
    image: onnx.ValueInfoProto,
    channels_last: bool,
    size: tuple[int, int],
) -> tuple[onnx.ValueInfoProto, int]:
    """The first output that is a map of class scores, and its number of classes."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    dims = (1, *size, 3) if channels_last else (1, 3, *size)
    for value in sized.graph.input:
        if value.name == image.name:
            for dim, fixed in zip(value.type.tensor_type.shape.dim, dims, strict=True):
                if not dim.HasField("dim_value"):
                    dim.dim_value = fixed
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(sized, data_prop=True)
    rejected = []
    for value in inferred.graph.output:
        shape = _dims(value)
        kind = value.type.tensor_type.elem_type
        # At least two rows and columns: the [N, K, 1, 1] of a classifier is not a map.
        is_map = len(shape) == 4 and kind in _FLOATS and min(shape[2] or 2, shape[3] or 2) > 1
        if is_map and shape[1] is not None and 2 <= shape[1] <= 255:
            return value, shape[1]
        rejected.append(f"{value.name} {[d or '?' for d in shape]}")
    raise _no_segmentation(
        origin, f"outputs {', '.join(rejected) or 'none'}", "class logits, float [N, classes, h, w]"
    )


def _preprocessing(
    image: onnx.ValueInfoProto, channels_last: bool, normalisation: Normalisation
) -> onnx.ModelProto:
    b = GraphBuilder()
    with b.path("input"):
        x = b.op("Cast", IMAGE, to=TensorProto.FLOAT)
        if normalisation.rgb:
            x = b.op("Gather", x, b.constant([2, 1, 0], np.int64), name="rgb", axis=3)
        x = b.op("Sub", x, b.weight("mean", np.asarray(normalisation.mean, np.float32)))
        x = b.op("Mul", x, b.weight("scale", 1 / np.asarray(normalisation.std, np.float32)))
        if not channels_last:
            x = b.op("Transpose", x, perm=[0, 3, 1, 2])
        b.op("Cast", x, output="prepared", to=image.type.tensor_type.elem_type)
        b.op("Shape", IMAGE, output="image_size", start=1, end=3)
    prepared = helper.make_tensor_value_info("prepared", image.type.tensor_type.elem_type, None)
    size = helper.make_tensor_value_info("image_size", TensorProto.INT64, [2])
    return b.model([image_input()], [prepared, size], "input")


def _postprocessing(logits: onnx.ValueInfoProto) -> onnx.ModelProto:
    b = GraphBuilder()
    with b.path("output"):
        x = b.op("Cast", "logits", to=TensorProto.FLOAT)
        p = b.op("Softmax", x, axis=1)
        best = b.op("ReduceMax", p, b.constant([1], np.int64), keepdims=0)
        b.op("Identity", best, output=CONFIDENCE)
        channels = b.op("Shape", x, name="channels", start=0, end=2)
        target = b.op("Concat", channels, "size", name="target", axis=0)
        y = b.op(
            "Resize", x, "", "", target,
            mode="linear", coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
        y = b.op("ArgMax", y, axis=1, keepdims=0)
        b.op("Cast", y, output=LABELS, to=TensorProto.UINT8)
    kind = logits.type.tensor_type.elem_type
    inputs = [
        helper.make_tensor_value_info("logits", kind, None),
        helper.make_tensor_value_info("size", TensorProto.INT64, [2]),
    ]
    return b.model(inputs, [labels_output(), map_output(CONFIDENCE, TensorProto.FLOAT)], "output")


def _keep_outputs(model: onnx.ModelProto, names: list[str]) -> None:
    outputs = [o for o in model.graph.output if o.name in names]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
