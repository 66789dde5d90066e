"""Operators that OpenVINO computes in FP32 where the rest of a network is in bf16 or FP16.

OpenVINO takes one precision for the whole network, but for operators with the attribute
``precise``. Python cannot set it, but an IR that is read has it. So the network goes through
OpenVINO's own IR, and the attribute into its XML. Where OpenVINO turns an operator into that of an
older opset it loses the attribute, so the network gets the older one before.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino as ov
from openvino import opset8
from openvino.utils.node_factory import NodeFactory

from lc_trt.ir.interface import FP32_TENSORS

_DATA = ("Const", "Parameter")


def pin(core: ov.Core, network: ov.Model) -> ov.Model | None:
    """The same network, with the operators that its metadata names kept in FP32.

    Args:
        core: reads the network again.
        network: compiled for bf16 or FP16.

    Returns:
        The network; None where the metadata names none, as of a model compiled for another
        precision.
    """
    path = ["framework", FP32_TENSORS]
    if not network.has_rt_info(path):
        return None
    names = json.loads(network.get_rt_info(path).astype(str))
    for node in network.get_ordered_ops():
        if node.get_type_name() == "Interpolate":
            _older_interpolate(node)
        elif node.get_type_name() == "Softmax":
            _older_softmax(node)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        ov.serialize(network, file)
        root = ElementTree.parse(file).getroot()
        weights = file.with_suffix(".bin").read_bytes()
    for layer in _layers_of(root, names):
        marks = layer.find("rt_info")
        if marks is None:
            marks = ElementTree.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, marks)
        ElementTree.SubElement(marks, "attribute", name="precise", version="0")
    return core.read_model(ElementTree.tostring(root), weights)


def _older_interpolate(node: ov.Node) -> None:
    """Interpolate as of opset 4; one whose sizes are not known stays."""
    shape = node.output(0).get_partial_shape()
    inputs = [i.get_source_output() for i in node.inputs()]
    if node.get_type_info().version_id != "opset11" or shape.is_dynamic or len(inputs) != 2:
        return
    image, sizes_or_scales = inputs
    attributes = node.get_attributes()
    sizes = opset8.constant(np.array(shape.to_shape())).output(0)
    scales = opset8.constant(np.ones(len(shape.to_shape()), np.float32)).output(0)
    axes = opset8.constant(np.arange(len(shape.to_shape()))).output(0)
    if attributes["shape_calculation_mode"] == "scales":
        scales = sizes_or_scales
    _replace(node, "opset4", [image, sizes, scales, axes], attributes)


def _older_softmax(node: ov.Node) -> None:
    """Softmax as of opset 1, whose axis is not negative; one of unknown rank stays."""
    rank = node.output(0).get_partial_shape().rank
    if node.get_type_info().version_id != "opset8" or rank.is_dynamic:
        return
    axis = node.get_attributes()["axis"] % rank.get_length()
    _replace(node, "opset1", [node.input(0).get_source_output()], {"axis": axis})


def _replace(
    node: ov.Node, opset: str, inputs: list[ov.Output], attributes: dict[str, Any]
) -> None:
    """Replace an operator by that of the same name in another opset."""
    other = NodeFactory(opset).create(node.get_type_name(), inputs, attributes)
    other.set_friendly_name(node.get_friendly_name())
    names = node.output(0).get_names()
    node.output(0).replace(other.output(0))
    other.output(0).set_names(names)


def _layers_of(root: ElementTree.Element, names: Collection[str]) -> Iterator[ElementTree.Element]:
    """The layers that make these tensors: one operator of ONNX may be several of OpenVINO's.

    Of those only the last has the tensor's name, and the ones before it have none.
    """
    layers = {layer.get("id"): layer for layer in root.iterfind("layers/layer")}
    sources: dict[str | None, list[str | None]] = {}
    for edge in root.iterfind("edges/edge"):
        sources.setdefault(edge.get("to-layer"), []).append(edge.get("from-layer"))
    targets, visited = set(names), set[str | None]()
    todo = [key for key, layer in layers.items() if not targets.isdisjoint(_names(layer))]
    while todo:
        key = todo.pop()
        if key in visited or layers[key].get("type") in _DATA:
            continue
        visited.add(key)
        yield layers[key]
        todo += [source for source in sources.get(key, ()) if not _names(layers[source])]


def _names(layer: ElementTree.Element) -> set[str]:
    """Of the tensors that a layer makes; in the XML they are separated by commas."""
    ports = layer.iterfind("output/port")
    return {name for port in ports for name in (port.get("names") or "").split(",") if name}
