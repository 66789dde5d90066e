"""Backends by name: which are known, installed and selected."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

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
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.trt.api import TensorRT
from lc_trt.utils.machine import Gpu


def package(name: str) -> TensorRT:
    return TensorRT(name, "11.4.0", None, None, [])


@pytest.fixture
def tools() -> Iterator[FakeToolchain]:
    """TensorRT on a GPU."""
    tools = FakeToolchain(package, Gpu("Some Ada", "8.9"))
    with registered(TensorRTBackend(tools)):
        yield tools


def test_auto_selects_a_gpu_only_if_everything_it_needs_is_there(tools: FakeToolchain) -> None:
    assert resolve_backend("auto").name == "tensorrt"
    assert compile_options().precision is Precision.FP16
    for name, value in (("current", None), ("cuda", False), ("package", None)):
        before = getattr(tools, name)
        setattr(tools, name, value)
        assert resolve_backend("auto").name == CPU_BACKENDS[0]
        assert [backend.name for backend in available()] == list(CPU_BACKENDS)
        setattr(tools, name, before)


def test_a_missing_backend_names_the_command_that_installs_it(tools: FakeToolchain) -> None:
    tools.package = None
    with pytest.raises(LcTrtError, match=r"TensorRT is not .* pip install 'lc-trt\[tensorrt\]'"):
        resolve_backend("tensorrt")
    with registered(*(WrappedBackend(name, installed=False) for name in CPU_BACKENDS)):
        for name in CPU_BACKENDS:
            with pytest.raises(LcTrtError, match=f"{name} is not installed; .*install {name}"):
                compile_options(name)
        with pytest.raises(LcTrtError, match="no backend is installed; install one: pip install"):
            resolve_backend()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'tpu': expected auto, tensorrt or openvino or onnxrunt"):
        get_backend("tpu")


def test_a_registered_backend_replaces_the_one_of_its_name_for_a_while() -> None:
    before = names()
    other = WrappedBackend("openvino")
    with registered(other):
        assert get_backend("openvino") is other and names() == before
        other.name = "another"  # type: ignore[misc]
        register(other)
        assert names() == (*before, "another")
    assert names() == before and get_backend("openvino") is not other


def test_names_are_listed_without_importing_a_runtime() -> None:
    code = (
        "import sys; from lc_trt.backends.registry import names; names()\n"
        "print([n for n in ('onnx', 'numpy', 'onnxruntime', 'openvino') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
