"""Parse an ONNX file with TensorRT-RTX and build engines of it; the answer is JSON on stdout.

Run as a script, in a process of its own: the parser loads "libtensorrt_rtx.so" by name, which has
to be on LD_LIBRARY_PATH before the process starts, or the process dies at the first plugin.
"""

from __future__ import annotations

import json
import sys

import tensorrt_rtx as trt


class Logger(trt.ILogger):
    """Keeps warnings and errors."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, severity: trt.ILogger.Severity, message: str) -> None:
        if severity <= trt.ILogger.Severity.WARNING:
            self.lines.append(f"{severity.name}: {message}")


def main(model: str, library: str, capabilities: str) -> dict[str, object]:
    """Layers as the parser made them, and the bytes of each engine (0: the build failed)."""
    logger = Logger()
    builder = trt.Builder(logger)
    loaded = not library or builder.get_plugin_registry().load_library(library) is not None
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse_from_file(model)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    plugins = [layer.name for layer in layers if layer.type == trt.LayerType.PLUGIN_V3]
    engines = {}
    for capability in capabilities.split(",") if parsed and capabilities else []:
        config = builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.__members__[capability], 0)
        if library:
            config.plugins_to_serialize = [library]
        engine = builder.build_serialized_network(network, config)
        engines[capability] = 0 if engine is None else engine.nbytes
    return {
        "loaded": loaded,
        "parsed": parsed,
        "errors": [parser.get_error(i).desc() for i in range(parser.num_errors)],
        "layers": len(layers),
        "plugins": plugins,
        "engines": engines,
        "log": logger.lines,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4])))
