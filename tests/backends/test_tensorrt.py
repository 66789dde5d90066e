"""The TensorRT backend without TensorRT and GPU: what it builds, for which GPUs, and errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
from fake_backends import FakeToolchain
from fake_library import library_bytes
from int8_cases import image_folder, tiny_table
from tiny_networks import INFO, tiny_model

from lc_trt.backends.base import Compiled
from lc_trt.backends.registry import get_backend, registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.bundle.bundle import PLAN, PLUGINS
from lc_trt.bundle.sections import Profile, TensorRTBuild
from lc_trt.compiler.options import CompileOptions, Quantization
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.trt.api import TensorRT
from lc_trt.trt.builder import Plan
from lc_trt.trt.options import PlanOptions
from lc_trt.trt.plugin_library import FILE, open_library
from lc_trt.utils.machine import Gpu

TURING, ADA, HOPPER = Gpu("A Turing", "7.5"), Gpu("An Ada", "8.9"), Gpu("A Hopper", "9.0")
BATCH = Profile(1, 2, 4)


@pytest.fixture
def toolchain(tmp_path: Path) -> Iterator[FakeToolchain]:
    """A toolchain whose builds return a plan with a plugin library and a list of layers."""
    (tmp_path / FILE).write_bytes(library_bytes())
    plan = Plan(b"plan", open_library(tmp_path / FILE), "[]\n")
    tools = FakeToolchain(None, plan=lambda *_: plan)
    with registered(TensorRTBackend(tools)):
        yield tools


@pytest.fixture
def compiled(toolchain: FakeToolchain) -> Callable[..., Compiled]:
    """Compiles the tiny cascade with a package on a GPU."""
    names = ("SM75", "SM80", "SM86", "SM89", "SM120")
    module = SimpleNamespace(ComputeCapability=SimpleNamespace(__members__={n: n for n in names}))

    def compile(
        package: str,
        gpu: Gpu | None,
        plan: PlanOptions | None = None,
        precision: str = "fp16",
        fallback: str = "fp16",
        quantization: Quantization | None = None,
    ) -> Compiled:
        toolchain.package = lambda _: TensorRT(package, "11.4.0", module, None, [])
        toolchain.current = gpu
        options = CompileOptions.of(
            "tensorrt", INFO.size, BATCH, precision, fallback,
            quantization=quantization, tensorrt=plan,
        )  # fmt: skip
        return get_backend("tensorrt").compile(tiny_model(), options)

    return compile


@pytest.fixture(scope="module")
def quantization(tmp_path_factory: pytest.TempPathFactory) -> Quantization:
    """Ranges of the tiny cascade."""
    folder = image_folder(tmp_path_factory.mktemp("images"), 2)
    return Quantization(tiny_table(tiny_model(), folder).ranges)


def input_types(model: onnx.ModelProto, op_type: str) -> Counter[str]:
    """Element types of the first input of each node of an operator."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}
    name = onnx.TensorProto.DataType.Name
    return Counter(name(types[n.input[0]]) for n in model.graph.node if n.op_type == op_type)


def input_shape(model: onnx.ModelProto) -> list[int | None]:
    """Shape of the image; None for a symbolic dimension."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else None for d in dims]


def test_an_engine_for_this_gpu_can_be_verified(
    compiled: Callable[..., Compiled], toolchain: FakeToolchain, tmp_path: Path
) -> None:
    layers = tmp_path / "layers.json"
    plan = PlanOptions(save_layers=layers, hardware_compatible=True)
    result = compiled("tensorrt", ADA, plan)
    assert result.skip_reason is None and result.reference_model is None
    assert result.files == {PLAN: b"plan", PLUGINS: tmp_path / FILE}
    assert result.gpu == ADA and result.precision == "fp16"
    assert result.plugin is not None and result.plugin.version == "1"
    assert result.tensorrt == TensorRTBuild("tensorrt", "11.4.0", hardware_compatible=True)
    assert layers.read_text() == "[]\n"
    (request,) = toolchain.requests
    # The profile leaves the batch symbolic; the size is fixed.
    assert input_shape(request["model"]) == [None, *INFO.size, 3]
    assert request["gpu"] == ADA and request["options"].batch == BATCH


def test_an_engine_for_other_gpus_cannot_and_says_why(compiled: Callable[..., Compiled]) -> None:
    assert compiled("tensorrt_rtx", HOPPER).skip_reason == (
        "built for compute capability 8.0, 8.6, 8.9, 12.0, the GPU here is A Hopper with 9.0"
    )
    older = PlanOptions(compute_capabilities=("8.6",))
    assert compiled("tensorrt_rtx", ADA, older).skip_reason == (
        "built for compute capability 8.6, the GPU here is An Ada with 8.9"
    )
    assert compiled("tensorrt_rtx", ADA).skip_reason is None
    without = compiled("tensorrt_rtx", None)
    assert without.skip_reason == "the build found no NVIDIA GPU to run it on"
    assert without.reference_model is None, "only INT8 is verified without a GPU"


def test_unwritable_layers_are_an_error(compiled: Callable[..., Compiled], tmp_path: Path) -> None:
    plan = PlanOptions(save_layers=tmp_path / "none" / "layers.json")
    with pytest.raises(LcTrtError, match=r"--save-layers .*: cannot be written \(No such file"):
        compiled("tensorrt", ADA, plan)


def test_a_gpu_without_cuda_python_is_rejected_before_the_build(
    compiled: Callable[..., Compiled], toolchain: FakeToolchain
) -> None:
    toolchain.cuda = False
    with pytest.raises(LcTrtError, match="needs cuda-python; install it: pip install"):
        compiled("tensorrt", ADA)
    assert toolchain.requests == []
    compiled("tensorrt_rtx", None)
    assert len(toolchain.requests) == 1


def test_bf16_is_rejected_for_gpus_without_it(
    compiled: Callable[..., Compiled], toolchain: FakeToolchain
) -> None:
    message = r"--bf16: needs compute capability 8\.0.* for 7\.5"
    with pytest.raises(UsageError, match=message):
        compiled("tensorrt", TURING, precision="bf16")
    with pytest.raises(UsageError, match=message):
        turing = PlanOptions(compute_capabilities=("7.5",))
        compiled("tensorrt_rtx", None, turing, precision="bf16")
    assert toolchain.requests == []


@pytest.mark.parametrize("gpu", [ADA, None])
def test_products_are_in_the_requested_precision(
    compiled: Callable[..., Compiled], toolchain: FakeToolchain, gpu: Gpu | None
) -> None:
    package = "tensorrt" if gpu else "tensorrt_rtx"
    for precision, element in (("bf16", "BFLOAT16"), ("fp16", "FLOAT16"), ("fp32", "FLOAT")):
        assert compiled(package, gpu, precision=precision).precision == precision
        assert set(input_types(toolchain.requests[-1]["model"], "RegionConv")) == {element}


@pytest.mark.parametrize("fallback", ["fp16", "bf16", "fp32"])
def test_an_int8_engine_without_a_gpu_has_an_equivalent_network(
    compiled: Callable[..., Compiled],
    toolchain: FakeToolchain,
    quantization: Quantization,
    fallback: str,
) -> None:
    partial = replace(quantization, keep=frozenset({"stage3/0/project/conv"}))
    result = compiled("tensorrt_rtx", None, None, "int8", fallback, partial)
    assert result.skip_reason == "the build found no NVIDIA GPU to run it on"
    assert result.reference_model is not None
    network = onnx.load_from_string(result.reference_model)
    # ONNX Runtime runs the optimum of the profiles.
    assert input_shape(network) == [BATCH.opt, *INFO.size, 3]
    built = input_types(toolchain.requests[0]["model"], "RegionConv")
    reference = input_types(network, "RegionConv")
    element = {"fp16": "FLOAT16", "bf16": "BFLOAT16", "fp32": "FLOAT"}[fallback]
    assert set(built) == {"INT8", element} and built["INT8"] > 10
    assert reference["INT8"] == built["INT8"]
    # ONNX Runtime lacks BF16.
    assert reference["FLOAT" if fallback == "bf16" else element] == built[element]
    assert compiled("tensorrt", ADA, None, "int8", fallback, partial).reference_model is None
