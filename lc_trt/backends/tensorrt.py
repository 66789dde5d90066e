"""TensorRT and TensorRT for RTX on an NVIDIA GPU. **not run on a GPU**"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lc_trt.backends.base import Backend, Capabilities, Compiled
from lc_trt.backends.load import REFERENCE, open_onnx
from lc_trt.bundle.bundle import PLAN, PLUGINS
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.base import Engine
from lc_trt.trt import api
from lc_trt.trt.options import check_bf16, check_options, targets
from lc_trt.utils import machine
from lc_trt.utils.files import atomic_write
from lc_trt.utils.machine import Gpu, module_version
from lc_trt.utils.progress import ProgressMonitor

if TYPE_CHECKING:
    import onnx

    from lc_trt.trt.builder import Plan


class Toolchain:
    """What the backend uses of this machine; tests substitute it."""

    def installed(self) -> bool:
        """Whether TensorRT or TensorRT for RTX is installed."""
        return api.installed() is not None

    def has_cuda(self) -> bool:
        """Whether cuda-python is installed, which runs engines."""
        return module_version("cuda") is not None and find_spec("cuda.bindings") is not None

    def gpu(self) -> Gpu | None:
        """The GPU of the current CUDA context, GPU 0 without a context; None without a GPU."""
        return machine.current_gpu()

    def load(self, package: str | None) -> api.TensorRT:
        """Import TensorRT.

        Args:
            package: ``tensorrt`` or ``tensorrt_rtx``; None is the installed one.

        Raises:
            LcTrtError: it is not installed, or cannot be imported.
        """
        return api.load(package)

    def build(
        self,
        tensorrt: api.TensorRT,
        network: onnx.ModelProto,
        options: CompileOptions,
        gpu: Gpu | None,
        origin: str,
        monitor: ProgressMonitor,
    ) -> Plan:
        """Build a plan.

        Args:
            tensorrt: result of `load`.
            network: a lowered model.
            options: with a size.
            gpu: the GPU to build on; None without one.
            origin: the model's name in messages.
            monitor: shows progress.
        """
        from lc_trt.trt.builder import build_plan

        assert options.size is not None
        return build_plan(
            tensorrt,
            network,
            options.tensorrt,
            batch=options.batch,
            size=options.size,
            gpu=gpu,
            origin=origin,
            monitor=monitor,
        )


class TensorRTBackend(Backend):
    """Compiles plans, with the plugin library that they need."""

    name = "tensorrt"
    title = "TensorRT"
    install = api.INSTALL["tensorrt"]
    engine_file = PLAN
    capabilities = Capabilities(
        precisions=(Precision.FP16, Precision.BF16, Precision.FP32, Precision.INT8),
        default_precision=Precision.FP16,
        fallback_precisions=(Precision.FP16, Precision.BF16, Precision.FP32),
        # FP16 and BF16 keep in FP32 what decides at which stage a pixel exits. That makes FP16 as
        # exact as FP32; BF16 has eight times its rounding error.
        exact_precisions=(Precision.FP32, Precision.FP16),
        profiles=True,
        on_gpu=True,
        plan_options=True,
        slow_build=True,
    )

    def __init__(self, tools: Toolchain | None = None) -> None:
        self._tools = tools or Toolchain()

    def installed(self) -> bool:
        """See `Backend.installed`. Compiling needs no GPU."""
        return self._tools.installed()

    def runs_here(self) -> bool:
        """See `Backend.runs_here`."""
        tools = self._tools
        return tools.installed() and tools.has_cuda() and tools.gpu() is not None

    def require(self) -> None:
        """See `Backend.require`."""
        if not self.installed():
            raise LcTrtError(f"TensorRT is not installed; install it: {self.install}")

    def check_machine(self, options: CompileOptions) -> None:
        """See `Backend.check_machine`."""
        plan, tools = options.tensorrt, self._tools
        tensorrt = tools.load(plan.package)
        with self._gpu(options.device) as gpu:
            check_options(plan, tensorrt, gpu)
            if options.floating is Precision.BF16:
                check_bf16(plan, tensorrt, gpu)
        # Verification runs the plan with it, minutes after this check.
        if gpu is not None and not tools.has_cuda():
            raise LcTrtError(
                "verification of the engine needs cuda-python; install it: "
                "pip install 'lc-trt[tensorrt]'"
            )

    def lower(self, model: onnx.ModelProto, options: CompileOptions) -> onnx.ModelProto:
        """See `Backend.lower`. ONNX Runtime runs the plugins by their function bodies."""
        from lc_trt.compiler.pipeline import compile_model, tensorrt_passes

        return compile_model(model, options, tensorrt_passes)

    def simulate(self, model: onnx.ModelProto, options: CompileOptions) -> Engine:
        """See `Backend.simulate`.

        A plan takes minutes and a GPU; ONNX Runtime computes the same integers.
        """
        content = self.lower(model, options.with_fp32()).SerializeToString()
        return open_onnx(REFERENCE, content)

    def _compile(
        self,
        model: onnx.ModelProto,
        options: CompileOptions,
        origin: str,
        monitor: ProgressMonitor,
    ) -> Compiled:
        tools, plan_options = self._tools, options.tensorrt
        tensorrt = tools.load(plan_options.package)
        network = self.lower(model, options)
        with self._gpu(options.device) as gpu:
            plan = tools.build(tensorrt, network, options, gpu, origin, monitor)
        if plan_options.save_layers is not None and plan.layers is not None:
            atomic_write(
                plan_options.save_layers, plan.layers.encode(), "choose another file",
                option="--save-layers",
            )  # fmt: skip
        files: dict[str, bytes | Path] = {PLAN: plan.content}
        if plan.library is not None:
            files[PLUGINS] = plan.library.path
        skip_reason = _skip_reason(targets(plan_options, tensorrt, gpu), gpu)
        reference = None
        if skip_reason is not None and options.precision.quantized:
            reference = self._reference(model, network, options)
        return Compiled(
            self.name,
            tensorrt.version,
            options.precision,
            files,
            tensorrt=plan_options.manifest_entry(tensorrt, gpu),
            plugin=plan.library.manifest_entry() if plan.library else None,
            gpu=gpu,
            skip_reason=skip_reason,
            reference_model=reference,
        )

    def _reference(
        self, model: onnx.ModelProto, network: onnx.ModelProto, options: CompileOptions
    ) -> bytes:
        """The network of an INT8 plan for ONNX Runtime, at the optimum of the profiles."""
        from lc_trt.compiler.pass_manager import run_passes
        from lc_trt.compiler.passes.freeze import Freeze

        if options.floating is Precision.BF16:  # which ONNX Runtime lacks
            network = self.lower(model, options.with_fp32())
        assert options.size is not None
        network = run_passes(network, [Freeze(options.batch.opt, options.size.opt)])
        content: bytes = network.SerializeToString()
        return content

    @contextmanager
    def _gpu(self, device: str | None) -> Iterator[Gpu | None]:
        """The GPU to build on; a named device gets a current context in this thread."""
        if device is None:
            yield self._tools.gpu()
            return
        from lc_trt.runtime.cuda import driver

        gpu = driver.Gpu.open(device)
        with gpu.current():  # TensorRT builds on the GPU of the current context
            yield Gpu(gpu.name, "{}.{}".format(*gpu.capability))

    def _open(
        self, content: bytes | Path, compiled: Compiled, threads: int | None, device: str | None
    ) -> Engine:
        if not self._tools.has_cuda():
            raise LcTrtError(
                "a TensorRT engine needs cuda-python; install it: pip install 'lc-trt[tensorrt]'"
            )
        from lc_trt.runtime.engines.tensorrt.engine import open_plan

        if compiled.tensorrt is None:
            raise LcTrtError(
                "the manifest lacks the section tensorrt of the engine; build the bundle again"
            )
        library = compiled.files.get(PLUGINS)
        return open_plan(
            content,
            self._tools.load(compiled.tensorrt.package),
            build=compiled.tensorrt,
            built_on=compiled.gpu,
            plugin=compiled.plugin,
            library=library if isinstance(library, Path) else None,
            device=device,
        )


def _skip_reason(built_for: tuple[str, ...], gpu: Gpu | None) -> str | None:
    if gpu is None:
        return "the build found no NVIDIA GPU to run it on"
    if built_for and gpu.compute_capability not in built_for:
        return (
            f"built for compute capability {', '.join(built_for)}, the GPU here is "
            f"{gpu.name} with {gpu.compute_capability}"
        )
    return None


TENSORRT = TensorRTBackend()
