"""Backends by name: which are there, which is taken, what each refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from compilation import CPU_BACKENDS
from fake_backends import FakeToolchain, WrappedBackend

from lc_trt.backends.registry import (
    available,
    compile_options,
    get_backend,
    names,
    register,
    registered,
    resolve_backend,
)
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.trt.api import TensorRT
from lc_trt.trt.options import PlanOptions
from lc_trt.utils.machine import Gpu


def package(name: str) -> TensorRT:
    return TensorRT(name, "11.4.0", None, None, [])


@pytest.fixture
def tools() -> Iterator[FakeToolchain]:
    """TensorRT on a GPU."""
    tools = FakeToolchain(package, Gpu("Some Ada", "8.9"))
    with registered(TensorRTBackend(tools)):
        yield tools


def test_auto_takes_a_gpu_only_where_all_of_it_is_there(tools: FakeToolchain) -> None:
    assert resolve_backend("auto").name == "tensorrt"
    assert compile_options().precision is Precision.FP16
    for name, value in (("current", None), ("cuda", False), ("package", None)):
        before = getattr(tools, name)
        setattr(tools, name, value)
        assert resolve_backend("auto").name == CPU_BACKENDS[0]
        assert [backend.name for backend in available()] == list(CPU_BACKENDS)
        setattr(tools, name, before)


def test_what_is_not_installed_names_the_command_that_installs_it(tools: FakeToolchain) -> None:
    tools.package = None
    with pytest.raises(LcTrtError, match=r"TensorRT is not .* pip install 'lc-trt\[tensorrt\]'"):
        resolve_backend("tensorrt")
    with registered(*(WrappedBackend(name, installed=False) for name in CPU_BACKENDS)):
        for name in CPU_BACKENDS:
            with pytest.raises(LcTrtError, match=f"{name} is not installed; .*install {name}"):
                compile_options(name)
        with pytest.raises(LcTrtError, match="no backend is installed; install one: pip install"):
            resolve_backend()


def test_an_unknown_name_lists_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="'tpu': expected auto, tensorrt or openvino or onnxrunt"):
        get_backend("tpu")


def test_a_backend_is_known_while_it_is_registered_and_replaces_its_name() -> None:
    before = names()
    other = WrappedBackend("openvino")
    with registered(other):
        assert get_backend("openvino") is other and names() == before
        other.name = "another"  # type: ignore[misc]
        register(other)
        assert names() == (*before, "another")
    assert names() == before and get_backend("openvino") is not other


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": Profile(1, 2, 4)}, "a range of batches or sizes: for --backend tensorrt only"),
        ({"size": Profile((64, 64), (64, 64), (96, 96))}, "a range of batches or sizes"),
        (
            {"tensorrt": PlanOptions(workspace=64, compute_capabilities=("8.9",))},
            "--workspace, --compute-capability: for --backend tensorrt only, this is ",
        ),
        (
            {"precision": Precision.INT8, "fallback_precision": Precision.FP16},
            "--int8 --fp16: layers outside INT8 run in fp32 with ",
        ),
    ],
)
def test_what_a_cpu_s_backend_does_not_have_is_refused(
    backend: str, changes: dict[str, object], message: str
) -> None:
    options = replace(CompileOptions.of(backend, (64, 64)), **changes)
    with pytest.raises(UsageError, match=message):
        get_backend(backend).check(options)


def test_what_tensorrt_does_not_have_is_refused(tools: FakeToolchain) -> None:
    reusing = CompileOptions.of("tensorrt", (64, 64), precision="fp16", reuse=True)
    with pytest.raises(UsageError, match=r"keep no state.*build with --backend openvino"):
        get_backend("tensorrt").check(reusing)
    get_backend("tensorrt").check(replace(reusing, reuse=False))


def test_names_are_known_without_importing_what_compiles_or_runs() -> None:
    code = (
        "import sys; from lc_trt.backends.registry import names; names()\n"
        "print([n for n in ('onnx', 'numpy', 'onnxruntime', 'openvino') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
