"""A lowered ONNX to a TensorRT plan."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

import onnx

from lc_trt.bundle.sections import Profile
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import IMAGE
from lc_trt.ir.operator_schema import is_region
from lc_trt.trt.api import TensorRT
from lc_trt.trt.options import PlanOptions, check_options, targets
from lc_trt.trt.parser import parse
from lc_trt.trt.plugin_library import PluginLibrary, open_library
from lc_trt.trt.progress_monitor import Stop, make_monitor
from lc_trt.trt.timing_cache import merge_cache, use_cache
from lc_trt.utils.machine import Gpu
from lc_trt.utils.progress import ProgressMonitor

_MIB = 1 << 20
# DEBUG: all that TensorRT says.
_log = logging.getLogger("lc_trt.tensorrt")


@dataclass(frozen=True)
class Plan:
    """A serialised engine.

    Attributes:
        content: for TensorRT's runtime.
        library: the plugins that it needs; None for a network without region operators.
        layers: the inspector's JSON; None unless requested.
    """

    content: bytes
    library: PluginLibrary | None
    layers: str | None


def build_plan(
    api: TensorRT,
    model: onnx.ModelProto,
    options: PlanOptions,
    *,
    batch: Profile[int],
    size: Profile[tuple[int, int]],
    gpu: Gpu | None,
    origin: str = "model",
    monitor: ProgressMonitor | None = None,
) -> Plan:
    """Build an engine.

    Args:
        api: TensorRT.
        model: what `Backend.lower` of TensorRT returned; its precision is the engine's.
        options: of the builder.
        batch: range of the image's N; fixed where it is fixed in the model.
        size: range of the image's (H, W); fixed where it is fixed in the model.
        gpu: the GPU of this process; None where there is none.
        origin: how messages call the model.
        monitor: shows the progress of the build.

    Raises:
        UsageError: this machine or package cannot do what the options ask for.
        LcTrtError: the plugin library is missing, the parser refuses nodes, or the build failed;
            with TensorRT's reasons.
    """
    check_options(options, api, gpu)
    trt, monitor = api.module, monitor or ProgressMonitor()
    library = None
    with api.messages(_log.debug if _log.isEnabledFor(logging.DEBUG) else None) as messages:
        if any(is_region(node) for node in model.graph.node):
            library = open_library(options.plugin)
            api.load_plugins(library)
        builder = trt.Builder(api.logger)
        network = parse(api, builder, model, origin, messages)
        config = builder.create_builder_config()
        api.set_compute_capabilities(config, targets(options, api, gpu))
        _apply(trt, config, options)
        _add_profile(builder, config, network, batch, size)
        stop = Stop()
        config.progress_monitor = make_monitor(api, monitor, stop)
        if options.timing_cache is not None:
            use_cache(config, options.timing_cache)
        content = builder.build_serialized_network(network, config)
        stop.reraise()
    if content is None:
        reason = "; ".join(messages.errors()) or "no reason given"
        raise LcTrtError(f"{origin}: {api.package} {api.version} built no engine: {reason}")
    if options.timing_cache is not None:
        merge_cache(config, options.timing_cache)
    plan = bytes(content)
    return Plan(plan, library, _layers(api, plan) if options.save_layers is not None else None)


def _apply(trt: Any, config: Any, options: PlanOptions) -> None:
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace * _MIB)
    if options.opt_level is not None:
        config.builder_optimization_level = options.opt_level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.save_layers is not None:
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED


def _add_profile(
    builder: Any, config: Any, network: Any, batch: Profile[int], size: Profile[tuple[int, int]]
) -> None:
    """Add an optimization profile if a dimension of the image is not fixed."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    if all(dim >= 0 for tensor in inputs for dim in tensor.shape):
        return
    profile = builder.create_optimization_profile()
    shapes = [
        (n, *side, 3)
        for n, side in (
            (batch.min, size.min),
            (batch.opt, size.opt),
            (batch.max, size.max),
        )
    ]
    profile.set_shape(IMAGE, *shapes)
    config.add_optimization_profile(profile)


def _layers(api: TensorRT, plan: bytes) -> str:
    """The inspector's JSON of an engine for the GPU at hand."""
    trt = api.module
    runtime = trt.Runtime(api.logger)
    with api.messages() as messages:
        engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        reason = "; ".join(messages.errors()) or "no reason given"
        raise LcTrtError(f"--save-layers: the engine does not load here ({reason})")
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return json.dumps(json.loads(text), indent=2) + "\n"
