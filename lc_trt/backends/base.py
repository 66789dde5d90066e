"""What a backend is: what it can do, how it compiles a network, how it opens what it compiled."""

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
    """What a backend can do, on whatever machine.

    Attributes:
        precisions: what its engines compute in.
        default_precision: where none is asked for.
        fallback_precisions: what an INT8 engine may compute the rest in; the first is the default.
        exact_precisions: those whose results are as close to FP32 as another FP32 engine's. An
            engine in any other is held to a lower agreement.
        profiles: whether an engine may take a range of sizes and batches.
        reuse: whether engines keep state between frames.
        on_gpu: whether engines run on a GPU, else on the CPU.
        plan_options: whether TensorRT's builder options apply.
        slow_build: whether an engine takes minutes to compile, too long to do for a measurement
            during a build.
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
    """A network compiled for a backend: the files of a bundle, and what its manifest says of them.

    Attributes:
        backend: the backend's name.
        backend_version: the version that compiled it.
        precision: of the engine.
        files: content or a path by the name in a bundle.
        tensorrt: the manifest's section of that name; None for other backends.
        plugin: likewise.
        gpu: likewise.
        reuse: likewise; None without temporal reuse.
        skip_reason: why it cannot run here; None where it can.
        reference_model: an ONNX that computes what an INT8 engine that cannot run here does, for
            ONNX Runtime; else None.
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
        """What a bundle holds.

        Args:
            bundle: as `lc_trt.bundle.bundle.read_bundle` checked it.
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
    """A runtime: compiles networks and opens what it compiled.

    A subclass is stateless; `lc_trt.backends.registry.register` makes it known.

    Attributes:
        name: as ``--backend`` and manifests have it.
        title: as messages have it.
        install: the command that installs it.
        capabilities: what it can do.
        engine_file: the file of a bundle that it runs.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    install: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    engine_file: ClassVar[str] = MODEL

    @abstractmethod
    def installed(self) -> bool:
        """Whether its packages are installed, found without importing them."""

    def runs_here(self) -> bool:
        """Whether it builds and runs on this machine."""
        return self.installed()

    def require(self) -> None:
        """Refuse a backend that is not installed.

        Raises:
            LcTrtError: names the command that installs it.
        """
        if not self.installed():
            raise LcTrtError(f"backend {self.name} is not installed; install it: {self.install}")

    def check(self, options: CompileOptions) -> None:
        """Refuse what the backend cannot do, or not on this machine.

        Args:
            options: what it is to compile for.

        Raises:
            UsageError: an option that it does not have.
            LcTrtError: a precision that it or this machine does not compute in, or something that
                it needs to compile is missing.
        """
        can = self.capabilities
        self.check_precision(options.precision)
        if options.precision.quantized:
            self._check_fallback(options.fallback_precision)
        if options.reuse and not can.reuse:
            raise UsageError(
                f"--reuse: for the CPU so far, since the runtime of {self.title}'s engines keeps "
                "no state between frames; leave it out, or build with --backend openvino"
            )
        if options.tensorrt.given() and not can.plan_options:
            raise UsageError(
                f"{', '.join(options.tensorrt.given())}: for --backend tensorrt only, this is "
                f"{self.name}"
            )
        varies = options.batch.fixed is None or (options.size and options.size.fixed is None)
        if varies and not can.profiles:
            raise UsageError(
                "a range of batches or sizes: for --backend tensorrt only, this is "
                f"{self.name}; give --batch and --size"
            )
        self.check_machine(options)

    def check_precision(self, precision: Precision) -> None:
        """Refuse a precision that engines do not compute in, here or anywhere.

        Args:
            precision: of an engine that is to be compiled or opened.

        Raises:
            LcTrtError: names precisions that they compute in.
        """
        can = self.capabilities.precisions
        if precision not in can:
            raise LcTrtError(
                f"{self.title} has no {precision} arithmetic; build with "
                + " or ".join(f"--{other}" for other in can)
            )

    def check_machine(self, options: CompileOptions) -> None:  # noqa: B027
        """Refuse what this machine lacks; by default nothing.

        Args:
            options: what is to be compiled for.

        Raises:
            LcTrtError, UsageError: see `check`.
        """

    @abstractmethod
    def lower(self, model: onnx.ModelProto, options: CompileOptions) -> onnx.ModelProto:
        """The ONNX that the backend runs or builds from; ONNX Runtime runs it too.

        Args:
            model: an exchange model, cascade or dense.
            options: with a size, and with a quantisation where they say INT8.
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
            model: an exchange model, cascade or dense; stays as it is.
            options: for this backend, with a quantisation where they say INT8.
            origin: how messages call the model.
            monitor: shows progress.

        Raises:
            UsageError: an option that the backend does not have.
            LcTrtError: see `check` and `lc_trt.compiler.pipeline.compile_model`.
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
            compiled: what `compile` made, or `Compiled.from_bundle`.
            threads: CPU threads of an engine on the CPU; None for all.
            device: ``cpu``; for a GPU ``cuda:N`` or N, by default the GPU of the current CUDA
                context, GPU 0 where there is none.

        Raises:
            UsageError: no such device, or ``threads`` is not at least 1.
            LcTrtError: the backend is not installed, cannot read the file, it was compiled for
                another machine, or this one does not compute in its precision.
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
        """An engine with the INT8 values of the compiled one, quick to make, for measurements.

        Args:
            model: an exchange model.
            options: as for `compile`, of one size and batch.
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
        """See `compile`; the options were checked."""

    @abstractmethod
    def _open(
        self, content: bytes | Path, compiled: Compiled, threads: int | None, device: str | None
    ) -> Engine:
        """See `open`; ``content`` is the engine file, and the arguments were checked."""

    def _check_fallback(self, precision: Precision) -> None:
        can = self.capabilities.fallback_precisions
        if precision not in can:
            raise UsageError(
                f"--int8 --{precision}: what stays out of INT8 is {' or '.join(can)} with "
                f"{self.name}; leave out --{precision}"
            )
