"""ONNX to a TensorRT network, with our plugin in place of each region operator or not at all."""

from __future__ import annotations

from typing import Any

import onnx

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.trt.api import Messages, TensorRT
from lc_trt.trt.parser_errors import refused_nodes
from lc_trt.trt.plugin_library import BUILD_COMMAND, NAME, VERSION

# The parser takes a plugin for a function's node only where the node names both.
_WANTED = {"plugin_version": VERSION, "plugin_namespace": NAME}


def parse(
    api: TensorRT, builder: Any, model: onnx.ModelProto, origin: str, messages: Messages
) -> Any:
    """A network of the model.

    Args:
        model: of standard operators and region operators that name their plugin.
        origin: how messages call the model.
        messages: what TensorRT has said, for the reason where the parser gives none.

    Returns:
        TensorRT's INetworkDefinition.

    Raises:
        LcTrtError: the parser refuses nodes (all are named), or would take a region operator's
            function body instead of the plugin.
    """
    regions = [node for node in model.graph.node if node.domain == DOMAIN]
    _check_plugins(api, regions, origin)
    trt = api.module
    network = api.new_network(builder)
    parser = trt.OnnxParser(network, api.logger)
    parsed = parser.parse(model.SerializeToString())
    if not parsed or parser.num_errors:
        told = refused_nodes(api, builder, model, parser) or messages.errors()
        places = f" in {len(told)} places" if len(told) > 1 else ""
        raise LcTrtError(
            f"{origin}: {api.package}'s parser refuses it{places}: "
            f"{'; '.join(told) or 'no reason given'}"
        )
    made = {
        layer.name
        for layer in map(network.get_layer, range(network.num_layers))
        if layer.type == trt.LayerType.PLUGIN_V3
    }
    for node in regions:
        if node.name not in made:
            raise LcTrtError(
                f"{origin}: node {node.name!r} ({node.op_type}) became its function's body and "
                f"not our plugin; compile the plugin library again: {BUILD_COMMAND}"
            )
    return network


def _check_plugins(api: TensorRT, regions: list[onnx.NodeProto], origin: str) -> None:
    """Refuse what the parser would answer by the function's body, without a word."""
    loaded = api.plugin_versions()
    for node in regions:
        attributes = {a.name: a.s.decode() for a in node.attribute if a.name in _WANTED}
        if attributes != _WANTED:
            raise LcTrtError(
                f"{origin}: node {node.name!r} ({node.op_type}) names no plugin, so TensorRT "
                "would take its function's body; compile the model for TensorRT: "
                "lc-trt build MODEL.onnx --backend tensorrt"
            )
        if loaded.get(node.op_type) != VERSION:
            found = f"version {loaded[node.op_type]}" if node.op_type in loaded else "none"
            raise LcTrtError(
                f"{origin}: node {node.name!r} needs the plugin {node.op_type} of version "
                f"{VERSION}, found {found}; compile the plugin library: {BUILD_COMMAND}"
            )
