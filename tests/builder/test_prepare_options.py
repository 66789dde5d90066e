"""What TensorRT makes of a model where there is a GPU: TensorRT and the GPU are stand-ins here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from fake_backends import FakeToolchain
from fake_library import library_bytes
from int8_cases import image_folder, tiny_table
from onnx import numpy_helper
from tiny_networks import INFO, tiny_model

from lc_trt.backends.base import Compiled
from lc_trt.backends.registry import compile_options, get_backend, registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.builder.prepare_options import PreparedOptions, check_request, prepare_options
from lc_trt.bundle.bundle import PLAN, PLUGINS
from lc_trt.bundle.sections import Exclusion, Profile, TensorRTBuild
from lc_trt.compiler.options import CompileOptions
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.quantization.calibration_table import read_table, write_table
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.trt.api import TensorRT
from lc_trt.trt.builder import Plan
from lc_trt.trt.options import PlanOptions
from lc_trt.trt.plugin_library import FILE, open_library
from lc_trt.utils.machine import Gpu
from lc_trt.utils.progress import ProgressMonitor

ADA, HOPPER = Gpu("Some Ada", "8.9"), Gpu("Some Hopper", "9.0")
SIZE = Profile.of((48, 72))


@dataclass
class Built:
    """What a build made, and what was measured for it."""

    compiled: Compiled
    prepared: PreparedOptions


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    """Compiles the tiny cascade with a package on a GPU, as a build does."""
    names = ("SM75", "SM80", "SM86", "SM89", "SM120")
    module = SimpleNamespace(ComputeCapability=SimpleNamespace(__members__={n: n for n in names}))
    (tmp_path / FILE).write_bytes(library_bytes())
    tools = FakeToolchain(
        None, plan=lambda *_: Plan(b"plan", open_library(tmp_path / FILE), "[]\n")
    )

    def run(
        package: str,
        gpu: Gpu | None,
        options: PlanOptions,
        precision: str = "fp16",
        int8: QuantizationOptions | None = None,
        model: onnx.ModelProto | None = None,
        show: ProgressMonitor | None = None,
        fallback: str | None = None,
    ) -> Built:
        tools.package = lambda _: TensorRT(package, "11.4.0", module, None, [])
        tools.current = gpu
        request = CompileOptions.of(
            "tensorrt", SIZE, Profile(1, 2, 4), precision, fallback or "fp16", tensorrt=options
        )
        model, monitor = model or tiny_model(), show or ProgressMonitor()
        check_request(request, int8, None)
        prepared = prepare_options(model, INFO, request, int8, None, monitor)
        return Built(get_backend("tensorrt").compile(model, prepared.options), prepared)

    run.tools = tools  # type: ignore[attr-defined]
    with registered(TensorRTBackend(tools)):
        yield run


def test_an_engine_for_the_gpu_at_hand_is_checked(make: Any, tmp_path: Path) -> None:
    layers = tmp_path / "layers.json"
    made = make("tensorrt", ADA, PlanOptions(save_layers=layers, hardware_compatible=True))
    compiled = made.compiled
    assert compiled.skip_reason is None
    assert compiled.files == {PLAN: b"plan", PLUGINS: tmp_path / FILE}
    assert compiled.gpu == ADA and compiled.plugin.version == "1" and compiled.precision == "fp16"
    assert compiled.tensorrt == TensorRTBuild("tensorrt", "11.4.0", hardware_compatible=True)
    assert layers.read_text() == "[]\n"
    (call,) = make.tools.asked
    # The profile leaves the batch open, the size is fixed.
    shape = call["model"].graph.input[0].type.tensor_type.shape.dim
    assert not shape[0].HasField("dim_value")
    assert [d.dim_value for d in shape[1:]] == [48, 72, 3]
    assert call["gpu"] == ADA and call["options"].batch == Profile(1, 2, 4)


def test_an_engine_for_other_gpus_is_not_checked_and_says_why(make: Any) -> None:
    made = make("tensorrt_rtx", HOPPER, PlanOptions())
    assert made.compiled.skip_reason == (
        "built for compute capability 8.0, 8.6, 8.9, 12.0, the GPU here is Some Hopper with 9.0"
    )
    older = PlanOptions(compute_capabilities=("8.6",))
    assert make("tensorrt_rtx", ADA, older).compiled.skip_reason
    assert make("tensorrt_rtx", ADA, PlanOptions()).compiled.skip_reason is None
    assert make("tensorrt_rtx", None, PlanOptions()).compiled.skip_reason == (
        "the build found no NVIDIA GPU to run it on"
    )


def test_layers_that_cannot_be_written_are_an_error(make: Any, tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match=r"--save-layers .*: cannot be written \(No such file"):
        make("tensorrt", ADA, PlanOptions(save_layers=tmp_path / "none" / "layers.json"))


def test_a_check_without_cuda_python_is_refused_before_the_build(make: Any) -> None:
    make.tools.cuda = False
    with pytest.raises(LcTrtError, match="needs cuda-python; install it: pip install"):
        make("tensorrt", ADA, PlanOptions())
    assert make.tools.asked == []


def test_bf16_is_refused_for_gpus_without_it(make: Any) -> None:
    turing = Gpu("Some Turing", "7.5")
    for gpu, options in (
        (turing, PlanOptions()),
        (None, PlanOptions(compute_capabilities=("7.5",))),
    ):
        with pytest.raises(UsageError, match=r"--bf16: needs compute capability 8\.0.* for 7\.5"):
            make("tensorrt" if gpu else "tensorrt_rtx", gpu, options, precision="bf16")
    assert make.tools.asked == []


@pytest.mark.parametrize("gpu", [ADA, None])
def test_bf16_is_what_products_are_in_and_nothing_is_looked_for(make: Any, gpu: Gpu | None) -> None:
    made = make("tensorrt" if gpu else "tensorrt_rtx", gpu, PlanOptions(), precision="bf16")
    assert made.compiled.precision == "bf16" and made.prepared.calibration is None
    assert set(input_types(make.tools.asked[0]["model"], "RegionConv")) == {"BFLOAT16"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    write_table(folder / "t.json", tiny_table(tiny_model(), image_folder(folder / "images", 2)))
    return folder / "t.json"


def input_types(model: onnx.ModelProto, op_type: str) -> Counter[str]:
    """Of the first input of each node of an operator."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}
    name = onnx.TensorProto.DataType.Name
    return Counter(name(types[n.input[0]]) for n in model.graph.node if n.op_type == op_type)


@pytest.mark.parametrize(("rest", "floating"), [(None, "FLOAT16"), ("fp32", "FLOAT")])
def test_an_int8_engine_says_how_it_was_quantised(
    make: Any, table: Path, rest: str | None, floating: str
) -> None:
    asked = QuantizationOptions(table, keep=("stage3/0",))
    made = make("tensorrt", ADA, PlanOptions(), precision="int8", int8=asked, fallback=rest)
    # The GPU at hand runs it for the check.
    assert made.compiled.skip_reason is None and made.compiled.reference_model is None
    int8 = made.prepared.calibration.int8
    assert made.compiled.precision == "int8" and int8.fallback_precision == (rest or "fp16")
    assert int8.excluded == (Exclusion(("stage3/0",), "asked for with --keep"),)
    assert made.prepared.table == read_table(table)
    types = input_types(make.tools.asked[0]["model"], "RegionConv")
    assert set(types) == {"INT8", floating} and types["INT8"] > 10


def test_int8_with_bf16_is_checked_by_what_onnx_runtime_computes(make: Any, table: Path) -> None:
    asked = QuantizationOptions(table)
    made = make("tensorrt_rtx", None, PlanOptions(), precision="int8", int8=asked, fallback="bf16")
    assert made.prepared.calibration.int8.fallback_precision == "bf16"
    built = input_types(make.tools.asked[0]["model"], "RegionConv")
    network = input_types(onnx.load_from_string(made.compiled.reference_model), "RegionConv")
    assert built["INT8"] == network["INT8"] > 0
    assert built["BFLOAT16"] == network["FLOAT"] > 0


def test_where_no_gpu_is_the_network_of_an_int8_engine_is_checked(make: Any, table: Path) -> None:
    made = make(
        "tensorrt_rtx", None, PlanOptions(), precision="int8", int8=QuantizationOptions(table)
    )
    assert made.compiled.skip_reason == "the build found no NVIDIA GPU to run it on"
    network = onnx.load_from_string(made.compiled.reference_model)
    built = make.tools.asked[0]["model"]
    assert input_types(network, "RegionConv") == input_types(built, "RegionConv")
    # The profile's optimum, in which ONNX Runtime runs it.
    shape = network.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape] == [2, 48, 72, 3]


class Warnings(ProgressMonitor):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize("rest", [None, "fp32"])
def test_what_fp16_beside_int8_cannot_hold_is_found(
    make: Any, tmp_path: Path, rest: str | None
) -> None:
    """Values of a layer that stays out of INT8, and far beyond FP16."""
    model = tiny_model()
    tensors = {t.name: t for t in model.graph.initializer}
    scales = {"stage1/1/bn_scale": 8e4, "stage1/1/bn_shift": 8e4, "stage1/2/weight": 1 / 8e4}
    for name, factor in scales.items():
        value = numpy_helper.to_array(tensors[name]) * np.float32(factor)
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))
    write_table(tmp_path / "t.json", tiny_table(model, image_folder(tmp_path / "images", 2)))
    asked = QuantizationOptions(tmp_path / "t.json", keep=("stage1/1", "stage1/2"))
    show = Warnings()
    made = make("tensorrt", ADA, PlanOptions(), "int8", asked, model, show, rest)
    calibration = made.prepared.calibration
    assert calibration.int8.excluded_convolutions == ("stage1/1/conv", "stage1/2/conv")
    built = onnx.shape_inference.infer_shapes(make.tools.asked[0]["model"]).graph
    types = {v.name: v.type.tensor_type.elem_type for v in built.value_info}
    assert types["stage1/1/conv"] == types["stage1/1/relu"] == onnx.TensorProto.FLOAT
    if rest == "fp32":
        assert calibration.fp16 is None and show.texts == []
    else:
        assert {"stage1/1/conv", "stage1/1/relu"} <= set(calibration.fp16.tensors)
        assert calibration.fp16.source == "photographs of scikit-image"
        assert "kept in FP32: stage1/1/conv (" in show.texts[0]
        half = [name for name, kind in types.items() if kind == onnx.TensorProto.FLOAT16]
        assert "stage1/0/relu" in half


def test_what_int8_is_mixed_with_is_checked(make: Any, table: Path) -> None:
    mixed = compile_options("onnxruntime", SIZE, 1, "int8", "fp16")
    with pytest.raises(UsageError, match="--int8 --fp16: what stays out of INT8 is fp32 with onnx"):
        check_request(mixed, QuantizationOptions(table), None)
    with pytest.raises(UsageError, match="INT8 needs images or a table"):
        make("tensorrt", ADA, PlanOptions(), precision="int8")


def test_tensorrt_is_refused_with_reuse() -> None:
    reusing = CompileOptions.of("tensorrt", SIZE, reuse=True)
    with pytest.raises(UsageError, match=r"keeps no state.*build with --backend openvino"):
        check_request(reusing, None, None)
