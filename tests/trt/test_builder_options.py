"""Options that reach TensorRT's builder, on a recording fake: TensorRT itself needs a GPU."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from fake_timing_cache import Cache
from onnx import TensorProto, helper

from lc_trt.bundle.sections import Profile
from lc_trt.errors import LcTrtError
from lc_trt.trt.api import TensorRT
from lc_trt.trt.builder import Plan, build_plan
from lc_trt.trt.options import PlanOptions
from lc_trt.utils.machine import Gpu
from lc_trt.utils.progress import ProgressMonitor

ADA = Gpu("Some Ada", "8.9")


class Config:
    """IBuilderConfig; settings become attributes."""

    def __init__(self) -> None:
        self.flags: list[str] = []
        self.pools: dict[str, int] = {}
        self.profiles: list[Any] = []
        self.cache: Cache | None = None

    def set_flag(self, flag: str) -> None:
        self.flags.append(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.pools[pool] = size

    def add_optimization_profile(self, profile: Any) -> None:
        self.profiles.append(profile)

    def create_timing_cache(self, content: bytes) -> Cache:
        return Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return True

    def get_timing_cache(self) -> Cache:
        assert self.cache is not None
        return self.cache


class Module:
    """The package tensorrt 11.4 with a GPU; its builder returns ``built``."""

    IProgressMonitor = object
    LayerType = SimpleNamespace(PLUGIN_V3="plugin")
    BuilderFlag = SimpleNamespace(VERSION_COMPATIBLE="version compatible")
    HardwareCompatibilityLevel = SimpleNamespace(AMPERE_PLUS="from Ampere on")
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
    LayerInformationFormat = SimpleNamespace(JSON="json")

    def __init__(self) -> None:
        self.config, self.built, self.loads = Config(), b"plan", True
        self.sinks: list[Any] = []
        self.shape = (-1, -1, -1, 3)

    def log(self, text: str) -> None:
        for sink in tuple(self.sinks):
            sink("ERROR", text)

    def Builder(self, logger: object) -> Any:
        return SimpleNamespace(
            create_network=lambda flags: SimpleNamespace(
                num_layers=0,
                get_layer=None,
                num_inputs=1,
                get_input=lambda index: SimpleNamespace(shape=self.shape),
            ),
            create_builder_config=lambda: self.config,
            create_optimization_profile=lambda: SimpleNamespace(
                set_shape=lambda name, *shapes: self.config.profiles.append((name, shapes))
            ),
            build_serialized_network=self.build,
        )

    def build(self, network: object, config: Config) -> bytes | None:
        monitor = config.progress_monitor  # type: ignore[attr-defined]
        monitor.phase_start("Tactics", None, 2)
        assert monitor.step_complete("Tactics", 0)
        monitor.phase_finish("Tactics")
        if self.built is None:
            self.log("[b.cpp::f::1] Error Code 10: could not find any implementation")
        elif config.cache is not None:
            config.cache.body["times"]["conv"] = 3
        return self.built

    def OnnxParser(self, network: object, logger: object) -> Any:
        return SimpleNamespace(parse=lambda content: True, num_errors=0)

    def get_plugin_registry(self) -> Any:
        return SimpleNamespace(all_creators=[])

    def Runtime(self, logger: object) -> Any:
        def inspector() -> Any:
            return SimpleNamespace(
                get_engine_information=lambda form: json.dumps({"Layers": [form]})
            )

        def load(plan: bytes) -> Any:
            if self.loads:
                return SimpleNamespace(create_engine_inspector=inspector)
            self.log("[r.cpp::f::1] Error Code 2: out of memory")
            return None

        return SimpleNamespace(deserialize_cuda_engine=load)


def dense() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["labels"])],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("labels", TensorProto.UINT8, None)],
    )
    return helper.make_model(graph)


def build(module: Module, options: PlanOptions, monitor: ProgressMonitor | None = None) -> Plan:
    api = TensorRT("tensorrt", "11.4.0", module, object(), module.sinks)
    sizes = Profile((32, 48), (48, 72), (64, 96))
    return build_plan(
        api, dense(), options, batch=Profile(1, 2, 4), size=sizes, gpu=ADA, monitor=monitor
    )


def test_defaults_set_nothing() -> None:
    module = Module()
    assert build(module, PlanOptions()) == Plan(b"plan", None, None)
    config = module.config
    assert config.flags == [] and config.pools == {} and config.cache is None
    for name in (
        "builder_optimization_level", "hardware_compatibility_level", "profiling_verbosity"
    ):  # fmt: skip
        assert not hasattr(config, name)


def test_options_reach_the_builder_as_trtexec_sets_them() -> None:
    module = Module()
    options = PlanOptions(
        workspace=64, opt_level=0, version_compatible=True, hardware_compatible=True
    )
    build(module, options)
    config: Any = module.config
    assert config.pools == {"workspace": 64 * 2**20}  # MiB
    assert config.builder_optimization_level == 0
    assert config.flags == ["version compatible"]
    assert config.hardware_compatibility_level == "from Ampere on"


def test_a_profile_has_all_three_shapes_and_a_fixed_network_none() -> None:
    module = Module()
    build(module, PlanOptions())
    shapes = ((1, 32, 48, 3), (2, 48, 72, 3), (4, 64, 96, 3))
    assert module.config.profiles[0] == ("image", shapes) and len(module.config.profiles) == 2
    module = Module()
    module.shape = (1, 48, 72, 3)
    build(module, PlanOptions())
    assert module.config.profiles == []


def test_the_timing_cache_is_read_before_and_merged_after(tmp_path: Path) -> None:
    path, module = tmp_path / "times", Module()
    path.write_text('{"gpu": "a", "times": {"pool": 4}}')
    build(module, PlanOptions(timing_cache=path))
    assert json.loads(path.read_bytes())["times"] == {"pool": 4, "conv": 3}


def test_the_inspectors_layers_come_with_their_details() -> None:
    module = Module()
    plan = build(module, PlanOptions(save_layers=Path("layers.json")))
    assert json.loads(plan.layers or "") == {"Layers": ["json"]}
    assert module.config.profiling_verbosity == "detailed"  # type: ignore[attr-defined]
    module.loads = False
    with pytest.raises(LcTrtError, match=r"--save-layers: .*\(Error Code 2: out of memory\)"):
        build(module, PlanOptions(save_layers=Path("layers.json")))


def test_a_failed_build_gives_its_reason_and_keeps_the_timing_cache(tmp_path: Path) -> None:
    path, module = tmp_path / "times", Module()
    path.write_text('{"gpu": "a", "times": {"pool": 4}}')
    module.built = None  # type: ignore[assignment]
    with pytest.raises(LcTrtError) as caught:
        build(module, PlanOptions(timing_cache=path))
    assert str(caught.value) == (
        "model: tensorrt 11.4.0 built no engine: Error Code 10: could not find any implementation"
    )
    assert json.loads(path.read_bytes())["times"] == {"pool": 4}


def test_phases_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    class Recorder(ProgressMonitor):
        def start(self, phase: str, steps: int) -> None:
            calls.append((phase, steps))

        def done(self, phase: str, steps: int) -> None:
            calls.append((phase, steps))

        def finish(self, phase: str) -> None:
            calls.append((phase, -1))

    calls: list[tuple[str, int]] = []
    build(Module(), PlanOptions(), Recorder())
    assert calls == [("Tactics", 2), ("Tactics", 1), ("Tactics", -1)]
