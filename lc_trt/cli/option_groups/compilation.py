"""Options for the compilation and verification of an engine."""

from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import option_values
from lc_trt.cli.option_groups.compose import OptionGroup
from lc_trt.cli.option_groups.model import Size
from lc_trt.compiler.precision import Precision

if TYPE_CHECKING:
    from lc_trt.builder.verify import VerifyOptions
    from lc_trt.bundle.sections import Profile
    from lc_trt.trt.options import PlanOptions

_TRT = "TensorRT:"


@dataclass(frozen=True)
class _Backend(OptionGroup):
    PANEL = "Engine"

    backend: Annotated[
        str,
        typer.Option(
            help="auto, tensorrt, openvino or onnxruntime; auto takes the first that runs here."
        ),
    ] = "auto"


# One flag per precision, with the description that the precision has.
_PrecisionFlags = make_dataclass(
    "_PrecisionFlags",
    [(p.value, Annotated[bool, typer.Option(f"--{p}", help=p.help)], False) for p in Precision],
    bases=(_Backend,),
    frozen=True,
)


@dataclass(frozen=True)
class Engine(_PrecisionFlags):  # type: ignore[misc,valid-type]
    """The backend and the precision of an engine."""

    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="For video: lets frames reuse results of earlier ones (lc-trt run --reuse). "
            "On the CPU so far.",
        ),
    ] = False

    def precision(self) -> Precision | None:
        """The engine's precision; None leaves the backend's default."""
        quantized = [p for p in Precision if p.quantized and getattr(self, p)]
        return quantized[0] if quantized else self._floating()

    def fallback_precision(self) -> Precision | None:
        """The precision of layers outside INT8; None for the backend's default."""
        precision = self.precision()
        return self._floating() if precision is not None and precision.quantized else None

    def _floating(self) -> Precision | None:
        flags = {p.value: bool(getattr(self, p)) for p in Precision if not p.quantized}
        name = option_values.one_of("precision", **flags)
        return None if name is None else Precision.parse(name)


@dataclass(frozen=True)
class Shape(Size):
    """Image size and batch of an engine; with TensorRT ranges of them, too."""

    PANEL = "Shape"

    batch: Annotated[int | None, typer.Option(help="Images per pass.", show_default="1")] = None
    min_batch: Annotated[int | None, typer.Option(help=f"{_TRT} fewest images per pass.")] = None
    opt_batch: Annotated[int | None, typer.Option(help=f"{_TRT} what it is tuned for.")] = None
    max_batch: Annotated[int | None, typer.Option(help=f"{_TRT} most images per pass.")] = None
    min_size: Annotated[str | None, typer.Option(metavar="HxW", help=f"{_TRT} smallest image.")] = (
        None
    )
    opt_size: Annotated[
        str | None, typer.Option(metavar="HxW", help=f"{_TRT} what it is tuned for.")
    ] = None
    max_size: Annotated[str | None, typer.Option(metavar="HxW", help=f"{_TRT} largest image.")] = (
        None
    )

    def size_profile(self) -> Profile[tuple[int, int]] | None:
        """(height, width) in pixels; None for the model's own size.

        Raises:
            UsageError: another form, or an incomplete or descending profile.
        """
        from lc_trt.trt.options import make_profile

        texts = {
            "--min-size": self.min_size,
            "--opt-size": self.opt_size,
            "--max-size": self.max_size,
        }
        least, optimum, most = (
            option_values.size(option, text) if text else None for option, text in texts.items()
        )
        return make_profile("size", self.pixels(), least, optimum, most)

    def batch_profile(self) -> Profile[int] | int:
        """Images per pass.

        Raises:
            UsageError: an incomplete or descending profile.
        """
        from lc_trt.trt.options import make_profile

        profile = make_profile("batch", self.batch, self.min_batch, self.opt_batch, self.max_batch)
        return 1 if profile is None else profile


@dataclass(frozen=True)
class TensorRT(OptionGroup):
    """Options of TensorRT's builder, with the meaning that trtexec gives them."""

    PANEL = "TensorRT"

    workspace: Annotated[
        int | None,
        typer.Option(metavar="MIB", help="Scratch memory.", show_default="all that the GPU has"),
    ] = None
    opt_level: Annotated[
        int | None,
        typer.Option(
            metavar="0-5", help="How thoroughly to search for fast kernels.", show_default="3"
        ),
    ] = None
    timing_cache: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Kernel timings, read and updated.")
    ] = None
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible", help="Load in later versions of the same major version."
        ),
    ] = False
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="Run on all GPUs from Ampere on.")
    ] = False
    compute_capability: Annotated[
        str | None,
        typer.Option(
            metavar="X.Y[,X.Y]",
            help="TensorRT for RTX: GPUs to build for, present or not.",
            show_default="8.0,8.6,8.9,12.0",
        ),
    ] = None
    plugin: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plugin library.", show_default="the compiled one"),
    ] = None
    save_layers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the engine's layers as JSON; needs a GPU."),
    ] = None

    def plan_options(self) -> PlanOptions:
        """The builder's options."""
        from lc_trt.trt.options import PlanOptions

        return PlanOptions(
            workspace=self.workspace,
            opt_level=self.opt_level,
            timing_cache=self.timing_cache,
            version_compatible=self.version_compatible,
            hardware_compatible=self.hardware_compatible,
            compute_capabilities=option_values.capabilities(
                "--compute-capability", self.compute_capability
            )
            if self.compute_capability
            else (),
            save_layers=self.save_layers,
            plugin=self.plugin,
        )


@dataclass(frozen=True)
class Verification(OptionGroup):
    """Verification of an engine before it is written."""

    PANEL = "Check"

    check_images: Annotated[
        Path | None,
        typer.Option(help="Photographs for the verification.", show_default="scikit-image's"),
    ] = None
    min_agreement: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="Required share of labels equal to FP32's; INT8, bf16 and FP16 on the CPU: of "
            "stages, too.",
            show_default="99; INT8, bf16 and FP16 on the CPU: 97",
        ),
    ] = None
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Keep an engine that does not agree.")
    ] = False

    def verify_options(self) -> VerifyOptions:
        """How the engine is verified."""
        from lc_trt.builder.verify import VerifyOptions

        return VerifyOptions(
            images=self.check_images,
            min_agreement=None if self.min_agreement is None else self.min_agreement / 100,
            must_agree=not self.no_check,
        )
