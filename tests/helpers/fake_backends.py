"""Fake backends for the registry, the seam between compiling and running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from lc_trt.backends.base import Backend, Capabilities, Compiled
from lc_trt.backends.registry import get_backend
from lc_trt.backends.tensorrt import Toolchain
from lc_trt.compiler.options import CompileOptions
from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.trt.api import TensorRT
from lc_trt.trt.builder import Plan
from lc_trt.utils.machine import Gpu
from lc_trt.utils.progress import ProgressMonitor


class WrappedBackend(Backend):
    """Records the calls of a backend, optionally with changed models and results.

    Args:
        name: of the backend, which this one replaces once registered.
        change: applied to each model before it is compiled.
        capabilities: None for those of the backend.
        installed: whether it counts as installed.
        alter: applied to the output of each pass without temporal reuse.

    Attributes:
        compiled: the options of each compilation.
        opened: the engines.
    """

    def __init__(
        self,
        name: str,
        change: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda model: model,
        capabilities: Capabilities | None = None,
        installed: bool = True,
        alter: Callable[[EngineOutput], EngineOutput] = lambda output: output,
    ) -> None:
        self.inner, self.change, self.alter = get_backend(name), change, alter
        self._installed = installed
        self.name, self.title = name, self.inner.title  # type: ignore[misc]
        self.install, self.engine_file = self.inner.install, self.inner.engine_file  # type: ignore[misc]
        self.capabilities = capabilities or self.inner.capabilities  # type: ignore[misc]
        self.compiled: list[CompileOptions] = []
        self.opened: list[Engine] = []

    def installed(self) -> bool:
        return self._installed

    def check_machine(self, options: CompileOptions) -> None:
        self.inner.check_machine(options)

    def lower(self, model: onnx.ModelProto, options: CompileOptions) -> onnx.ModelProto:
        return self.inner.lower(self.change(model), options)

    def _compile(
        self, model: onnx.ModelProto, options: CompileOptions, origin: str, monitor: ProgressMonitor
    ) -> Compiled:
        self.compiled.append(options)
        return self.inner.compile(self.change(model), options, origin=origin, monitor=monitor)

    def _open(
        self, content: bytes | Path, compiled: Compiled, threads: int | None, device: str | None
    ) -> Engine:
        engine = self.inner.open(compiled, threads=threads, device=device)
        run = engine.run
        engine.run = lambda image, rho=None: self.alter(run(image, rho))  # type: ignore[method-assign]
        self.opened.append(engine)
        return engine


def _no_plan(network: onnx.ModelProto, options: CompileOptions) -> Plan:
    raise AssertionError("this test builds no plan")


class FakeToolchain(Toolchain):
    """Fake TensorRT and GPU.

    Args:
        package: stands for `lc_trt.trt.api.load`, by the package's name; None: TensorRT is not
            installed.
        gpu: the GPU of this process.
        cuda: whether cuda-python is installed.
        plan: returns the plan of a build.

    Attributes:
        requests: arguments of each build, by name.
    """

    def __init__(
        self,
        package: Callable[[str], TensorRT] | None,
        gpu: Gpu | None = None,
        *,
        cuda: bool = True,
        plan: Callable[[onnx.ModelProto, CompileOptions], Plan] = _no_plan,
    ) -> None:
        self.package, self.current, self.cuda, self.plan = package, gpu, cuda, plan
        self.requests: list[dict[str, Any]] = []

    def installed(self) -> bool:
        return self.package is not None

    def has_cuda(self) -> bool:
        return self.cuda

    def gpu(self) -> Gpu | None:
        return self.current

    def load(self, package: str | None) -> TensorRT:
        if self.package is None:
            raise LcTrtError("not installed")
        return self.package(package or "tensorrt")

    def build(
        self,
        tensorrt: TensorRT,
        network: onnx.ModelProto,
        options: CompileOptions,
        gpu: Gpu | None,
        origin: str,
        monitor: ProgressMonitor,
    ) -> Plan:
        self.requests.append({"model": network, "options": options, "gpu": gpu})
        return self.plan(network, options)
