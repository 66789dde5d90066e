"""What becomes a plugin and what is refused, on a parser that makes the layers it is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN, PLUGIN_ATTRIBUTES
from lc_trt.trt.api import Messages, TensorRT
from lc_trt.trt.parser import parse

PLUGIN = "PLUGIN_V3"


class Module:
    """As the package tensorrt.

    Args:
        layers: (name, kind) of what the parser makes.
        plugins: versions of loaded plugins of ours, by name.
        parsed: whether the parser takes the model.
    """

    LayerType = SimpleNamespace(PLUGIN_V3=PLUGIN)

    def __init__(
        self, layers: dict[str, str], plugins: dict[str, str], parsed: bool = True
    ) -> None:
        network_layers = [SimpleNamespace(name=name, type=kind) for name, kind in layers.items()]
        self.network = SimpleNamespace(
            num_layers=len(network_layers), get_layer=network_layers.__getitem__
        )
        self.creators = [
            SimpleNamespace(name=name, plugin_version=version, plugin_namespace=DOMAIN)
            for name, version in plugins.items()
        ]
        self.parsed = parsed

    def OnnxParser(self, network: object, logger: object) -> Any:
        return SimpleNamespace(
            parse=lambda content: self.parsed, num_errors=0, supports_operator=lambda name: True
        )

    def get_plugin_registry(self) -> Any:
        return SimpleNamespace(all_creators=self.creators)


def network(**attributes: str) -> onnx.ModelProto:
    """A gather that names its plugin, unless attributes say something else, and a Relu."""
    value = helper.make_tensor_value_info
    plugin = {**PLUGIN_ATTRIBUTES, **attributes}
    gather = helper.make_node(
        "RegionGather", ["x", "rows", "count"], ["y"], "enter", domain=DOMAIN, **plugin
    )
    graph = helper.make_graph(
        [gather, helper.make_node("Relu", ["y"], ["z"], "relu")],
        "g",
        [
            value("x", TensorProto.FLOAT, [1, 3, 4, 4]),
            value("rows", TensorProto.INT32, ["r"]),
            value("count", TensorProto.INT32, [1]),
        ],
        [value("z", TensorProto.FLOAT, ["r", 3])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets)


def parsed(module: Module, model: onnx.ModelProto, *logged: str) -> Any:
    api = TensorRT("tensorrt", "11.4.0", module, object(), [])
    builder = SimpleNamespace(create_network=lambda flags: module.network)
    messages = Messages([("ERROR", line) for line in logged])
    return parse(api, builder, model, "m.onnx", messages)


LAYERS = {"enter": PLUGIN, "relu": "ACTIVATION"}
LOADED = {"RegionGather": "1", "RegionConv": "1"}


def test_a_network_whose_regions_are_plugins_is_given() -> None:
    module = Module(LAYERS, LOADED)
    assert parsed(module, network()) is module.network


@pytest.mark.parametrize("layers", [{"relu": "ACTIVATION"}, {**LAYERS, "enter": "GATHER"}])
def test_a_body_that_was_taken_for_a_plugin_is_refused(layers: dict[str, str]) -> None:
    """The last line of defence, where the parser does something else than it was asked."""
    with pytest.raises(
        LcTrtError, match=r"m\.onnx: node 'enter' \(RegionGather\) became its function's body"
    ):
        parsed(Module(layers, LOADED), network())


@pytest.mark.parametrize("name", PLUGIN_ATTRIBUTES)
def test_a_node_that_names_another_plugin_is_refused(name: str) -> None:
    with pytest.raises(LcTrtError, match=r"node 'enter' .* names no plugin, so TensorRT would"):
        parsed(Module(LAYERS, LOADED), network(**{name: "other"}))


@pytest.mark.parametrize(("version", "said"), [("2", "version 2"), (None, "none")])
def test_a_plugin_that_is_not_loaded_is_named(version: str | None, said: str) -> None:
    plugins = {} if version is None else {"RegionGather": version}
    with pytest.raises(
        LcTrtError,
        match=f"needs the plugin RegionGather of version 1, found {said}; compile the plugin",
    ):
        parsed(Module(LAYERS, plugins), network())


def test_where_the_parser_names_no_node_what_was_logged_is_the_reason() -> None:
    module = Module(LAYERS, LOADED, parsed=False)
    line = "[m.cpp::f::1] Error Code 4: out of patience"
    with pytest.raises(LcTrtError, match=r"tensorrt's parser refuses it: Error Code 4: out of pat"):
        parsed(module, network(), line)
    with pytest.raises(LcTrtError, match="refuses it: no reason given"):
        parsed(module, network())
