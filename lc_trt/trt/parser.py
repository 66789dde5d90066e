"""ONNX to a TensorRT network in which every region operator is our plugin."""

from __future__ import annotations

from typing import Any

import onnx

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import PLUGIN_ATTRIBUTES, PLUGIN_VERSION
from lc_trt.ir.operator_schema import is_region
from lc_trt.trt.api import Messages, TensorRT
from lc_trt.trt.parser_errors import refused_nodes
from lc_trt.trt.plugin_library import BUILD_COMMAND


def parse(
    api: TensorRT, builder: Any, model: onnx.ModelProto, origin: str, messages: Messages
) -> Any:
    """A network of the model.

    Args:
        api: TensorRT.
        builder: its IBuilder.
        model: of standard operators and region operators that name their plugin.
        origin: how messages call the model.
        messages: TensorRT's log, for the reason where the parser gives none.

    Returns:
        TensorRT's INetworkDefinition.

    Raises:
        LcTrtError: the parser refuses nodes (all are named), or would take a region operator's
            function body instead of the plugin.
    """
    regions = [node for node in model.graph.node if is_region(node)]
    _check_plugins(api, regions, origin)
    trt = api.module
    network = api.new_network(builder)
    parser = trt.OnnxParser(network, api.logger)
    parsed = parser.parse(model.SerializeToString())
    if not parsed or parser.num_errors:
        reasons = refused_nodes(api, builder, model, parser) or messages.errors()
        places = f" in {len(reasons)} places" if len(reasons) > 1 else ""
        raise LcTrtError(
            f"{origin}: {api.package}'s parser refuses it{places}: "
            f"{'; '.join(reasons) or 'no reason given'}"
        )
    plugin_layers = {
        layer.name
        for layer in map(network.get_layer, range(network.num_layers))
        if layer.type == trt.LayerType.PLUGIN_V3
    }
    for node in regions:
        if node.name not in plugin_layers:
            raise LcTrtError(
                f"{origin}: node {node.name!r} ({node.op_type}) became its function's body and "
                f"not our plugin; compile the plugin library again: {BUILD_COMMAND}"
            )
    return network


def _check_plugins(api: TensorRT, regions: list[onnx.NodeProto], origin: str) -> None:
    """Refuse nodes for which the parser would silently take the function's body."""
    loaded = api.plugin_versions()
    for node in regions:
        plugin = {a.name: a.s.decode() for a in node.attribute if a.name in PLUGIN_ATTRIBUTES}
        if plugin != PLUGIN_ATTRIBUTES:
            raise LcTrtError(
                f"{origin}: node {node.name!r} ({node.op_type}) names no plugin, so TensorRT "
                "would take its function's body; compile the model for TensorRT: "
                "lc-trt build MODEL.onnx --backend tensorrt"
            )
        if loaded.get(node.op_type) != PLUGIN_VERSION:
            registered = f"version {loaded[node.op_type]}" if node.op_type in loaded else "none"
            raise LcTrtError(
                f"{origin}: node {node.name!r} needs the plugin {node.op_type} of version "
                f"{PLUGIN_VERSION}, found {registered}; compile the plugin library: {BUILD_COMMAND}"
            )
