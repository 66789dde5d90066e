"""The interface of a backend: capabilities, compiling a network, opening a compiled one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lc_trt.bundle.bundle import MODEL, Bundle
from lc_trt.bundle.sections import PluginRecord, ReuseInputs, TensorRTBuild
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.utils.devices import check_device, parse_device
from lc_trt.utils.machine import Gpu
from lc_trt.utils.progress import ProgressMonitor

if TYPE_CHECKING:  # opening a bundle needs no onnx
    import onnx

    from lc_trt.runtime.engines.base import Engine


@dataclass(frozen=True)
class Capabilities:
    """What a backend supports, on any machine.

    Attributes:
        precisions: of its engines.
        default_precision: used if none is given.
        fallback_precisions: of the layers of an INT8 engine that stay in floating point; the first
            is the default.
        exact_precisions: precisions whose results are as close to FP32 as those of another FP32
            engine. For other ones, verification requires less agreement.
        profiles: whether an engine supports a range of sizes and batches.
        reuse: whether engines keep state between frames.
        on_gpu: whether engines run on a GPU instead of the CPU.
        plan_options: whether TensorRT's builder options apply.
        slow_build: whether compiling takes minutes, too long for measurements during a build.
    """

    precisions: tuple[Precision, ...]
    default_precision: Precision
    fallback_precisions: tuple[Precision, ...]
    exact_precisions: tuple[Precision, ...]
    profiles: bool = False
    reuse: bool = False
    on_gpu: bool = False
    plan_options: bool = False
    slow_build: bool = False


@dataclass(frozen=True)
class Compiled:
    """A network compiled for a backend: files of a bundle, and sections of its manifest.

    Attributes:
        backend: the backend's name.
        backend_version: version of the runtime that compiled it.
        precision: of the engine.
        files: content or path, by the name in the bundle.
        tensorrt: section of the manifest; None for other backends.
        plugin: likewise; None without plugins.
        gpu: likewise; None for engines that were not built on a GPU.
        reuse: likewise; None without temporal reuse.
        skip_reason: why the engine cannot run here; None where it can.
        reference_model: for an INT8 engine that cannot run here, an equivalent ONNX for ONNX
            Runtime; else None.
    """

    backend: str
    backend_version: str
    precision: Precision
    files: Mapping[str, bytes | Path]
    tensorrt: TensorRTBuild | None = None
    plugin: PluginRecord | None = None
    gpu: Gpu | None = None
    reuse: ReuseInputs | None = None
    skip_reason: str | None = None
    reference_model: bytes | None = None

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Compiled:
        """The compiled network of a bundle.

        Args:
            bundle: as read by `lc_trt.bundle.bundle.read_bundle`.
        """
        manifest = bundle.manifest
        return cls(
            manifest.backend,
            manifest.backend_version,
            Precision.parse(manifest.precision),
            {name: bundle.file(name) for name in manifest.files},
            manifest.tensorrt,
            manifest.plugin,
            manifest.gpu,
            manifest.reuse,
        )


class Backend(ABC):
    """A runtime that compiles networks and opens them.

    Subclasses are stateless; `lc_trt.backends.registry.register` registers them.

    Attributes:
        name: in ``--backend`` and in manifests.
        title: in messages.
        install: command that installs it.
        capabilities: what it supports.
        engine_file: the file of a bundle that it runs.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    install: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    engine_file: ClassVar[str] = MODEL

    @abstractmethod
    def installed(self) -> bool:
        """Whether its packages are installed; does not import them."""

    def runs_here(self) -> bool:
        """Whether it compiles and runs on this machine."""
        return self.installed()

    def require(self) -> None:
        """Reject a backend that is not installed.

        Raises:
            LcTrtError: it is not; names the command that installs it.
        """
        if not self.installed():
            raise LcTrtError(f"backend {self.name} is not installed; install it: {self.install}")

    def check(self, options: CompileOptions) -> None:
        """Reject options that the backend or this machine does not support.

        Args:
            options: of the engine.

        Raises:
            UsageError: an option that it does not support.
            LcTrtError: it or this machine lacks the precision, or something needed to compile.
        """
        supports = self.capabilities
        self.check_precision(options.precision)
        if options.precision.quantized:
            self._check_fallback(options.fallback_precision)
        if options.reuse and not supports.reuse:
            raise UsageError(
                f"--reuse: engines of {self.title} keep no state between frames so far; leave it "
                "out, or build with --backend openvino"
            )
        if options.tensorrt.given() and not supports.plan_options:
            raise UsageError(
                f"{', '.join(options.tensorrt.given())}: for --backend tensorrt only, this is "
                f"{self.name}"
            )
        varies = options.batch.fixed is None or (options.size and options.size.fixed is None)
        if varies and not supports.profiles:
            raise UsageError(
                "a range of batches or sizes: for --backend tensorrt only, this is "
                f"{self.name}; give --batch and --size"
            )
        self.check_machine(options)

    def check_precision(self, precision: Precision) -> None:
        """Reject a precision that the backend or this machine does not support.

        Args:
            precision: of an engine to compile or open.

        Raises:
            LcTrtError: it is not supported; names those that are.
        """
        supported = self.capabilities.precisions
        if precision not in supported:
            raise LcTrtError(
                f"{self.title} has no {precision} arithmetic; build with "
                + " or ".join(f"--{other}" for other in supported)
            )

    def check_machine(self, options: CompileOptions) -> None:  # noqa: B027
        """Reject options that this machine does not support; by default none.

        Args:
            options: of the engine.

        Raises:
            LcTrtError: as of `check`.
            UsageError: likewise.
        """

    @abstractmethod
    def lower(self, model: onnx.ModelProto, options: CompileOptions) -> onnx.ModelProto:
        """The ONNX that the backend runs or builds from; ONNX Runtime runs it too.

        Args:
            model: an exchange model, cascade or dense; stays unchanged.
            options: with a size, and with a quantisation for INT8.
        """

    def compile(
        self,
        model: onnx.ModelProto,
        options: CompileOptions,
        *,
        origin: str = "model",
        monitor: ProgressMonitor | None = None,
    ) -> Compiled:
        """Compile a network.

        Args:
            model: an exchange model, cascade or dense; stays unchanged.
            options: for this backend, with a size, and with a quantisation for INT8.
            origin: the model's name in messages.
            monitor: shows progress.

        Raises:
            UsageError: an option that the backend does not support.
            LcTrtError: as of `check` and `lc_trt.compiler.pipeline.compile_model`.
        """
        assert options.backend == self.name, f"{self.name} got options for {options.backend}"
        self.check(options)
        return self._compile(model, options, origin, monitor or ProgressMonitor())

    def open(
        self,
        compiled: Compiled,
        *,
        threads: int | None = None,
        device: str | int | None = None,
    ) -> Engine:
        """Load a compiled network.

        Args:
            compiled: result of `compile` or `Compiled.from_bundle`.
            threads: threads of an engine on the CPU; None for all.
            device: ``cpu``, or ``cuda:N`` or N for a GPU. None is the CPU or the GPU of the current
                CUDA context, GPU 0 without a context.

        Raises:
            UsageError: no such device, or ``threads`` is less than 1.
            LcTrtError: the backend is not installed, the file is unreadable or of another machine,
                or this machine lacks the precision.
        """
        device = parse_device(device)
        self.require()
        check_device(device, self.name, on_gpu=self.capabilities.on_gpu)
        if threads is not None and threads < 1:
            raise UsageError(f"threads {threads}: expected at least 1")
        self.check_precision(compiled.precision)
        content = compiled.files[self.engine_file]
        if isinstance(content, Path) and not content.is_file():
            raise LcTrtError(f"{content}: no such file; expected a compiled model")
        return self._open(content, compiled, threads, device)

    def simulate(self, model: onnx.ModelProto, options: CompileOptions) -> Engine:
        """An engine with the same integers as the compiled one, for measurements of accuracy.

        A backend overrides it if compiling is slow.

        Args:
            model: an exchange model.
            options: as of `compile`, of one size and batch.
        """
        return self.open(self.compile(model, options))

    @abstractmethod
    def _compile(
        self,
        model: onnx.ModelProto,
        options: CompileOptions,
        origin: str,
        monitor: ProgressMonitor,
    ) -> Compiled:
        """Implement `compile`; the options are checked."""

    @abstractmethod
    def _open(
        self, content: bytes | Path, compiled: Compiled, threads: int | None, device: str | None
    ) -> Engine:
        """Implement `open`; ``content`` is the engine file, and the arguments are checked."""

    def _check_fallback(self, precision: Precision) -> None:
        supported = self.capabilities.fallback_precisions
        if precision not in supported:
            raise UsageError(
                f"--int8 --{precision}: layers outside INT8 run in {' or '.join(supported)} with "
                f"{self.name}; leave out --{precision}"
            )
