"""Compile options, shared by backends, build and bench."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from lc_trt.bundle.sections import Profile
from lc_trt.compiler.precision import Precision
from lc_trt.errors import UsageError
from lc_trt.trt.options import PlanOptions

Size = tuple[int, int]
Range = tuple[float, float]
SMALLEST, LARGEST = 32, 8192  # pixels per side


@dataclass(frozen=True)
class Quantization:
    """Activation ranges and exclusions of an INT8 network.

    Attributes:
        ranges: lowest and highest value by tensor; values outside saturate.
        keep: convolutions (`QuantizationPlan.convolutions`) that stay in floating point.
    """

    ranges: Mapping[str, Range]
    keep: Collection[str] = ()


@dataclass(frozen=True)
class CompileOptions:
    """Options for compiling a network. `of` creates them from plain values.

    `lc_trt.backends.registry.compile_options` checks them against the backend's capabilities.

    Attributes:
        backend: name of the backend.
        size: (height, width) in pixels; None for the model's own size.
        batch: images per pass.
        precision: precision of the engine.
        fallback_precision: precision of the layers outside INT8.
        quantization: ranges of an INT8 network; None before calibration.
        fp32_tensors: tensors whose values exceed FP16 (`lc_trt.quantization.activation_peaks`);
            names that do not occur in this form of the network are ignored.
        reuse: whether to add temporal reuse to a cascade.
        tensorrt: TensorRT's builder options.
        device: GPU to compile on, ``cuda:N``; None for that of the current CUDA context, or the
            first.
    """

    backend: str
    size: Profile[Size] | None = None
    batch: Profile[int] = field(default_factory=lambda: Profile.of(1))
    precision: Precision = Precision.FP32
    fallback_precision: Precision = Precision.FP32
    quantization: Quantization | None = None
    fp32_tensors: Collection[str] = ()
    reuse: bool = False
    tensorrt: PlanOptions = field(default_factory=PlanOptions)
    device: str | None = None

    def __post_init__(self) -> None:
        for size in (self.size.min, self.size.max) if self.size else (None,):
            check_shape(size, self.batch.min)
        if self.quantization is not None and not self.precision.quantized:
            raise ValueError(f"{self.precision} takes no quantisation")

    @classmethod
    def of(
        cls,
        backend: str,
        size: Size | Profile[Size] | None = None,
        batch: int | Profile[int] = 1,
        precision: str = Precision.FP32,
        fallback_precision: str = Precision.FP32,
        *,
        quantization: Quantization | None = None,
        fp32_tensors: Collection[str] = (),
        reuse: bool = False,
        tensorrt: PlanOptions | None = None,
    ) -> CompileOptions:
        """Create options from plain values.

        Args:
            backend: name of the backend.
            size: (height, width) in pixels, a profile, or None.
            batch: images per pass, or a profile.
            precision: name of a `Precision`.
            fallback_precision: name of a `Precision`.
            quantization: ranges of an INT8 network.
            fp32_tensors: tensors whose values exceed FP16.
            reuse: whether to add temporal reuse.
            tensorrt: TensorRT's builder options; None for the defaults.

        Raises:
            UsageError: an invalid size, batch or precision.
        """
        return cls(
            backend,
            size if isinstance(size, Profile) or size is None else Profile.of(size),
            batch if isinstance(batch, Profile) else Profile.of(batch),
            Precision.parse(precision),
            Precision.parse(fallback_precision),
            quantization,
            fp32_tensors,
            reuse,
            tensorrt or PlanOptions(),
        )

    @property
    def floating(self) -> Precision:
        """Precision of the layers in floating point."""
        return self.fallback_precision if self.precision.quantized else self.precision

    def with_fp32(self) -> CompileOptions:
        """The same options, with FP32 for all layers in floating point."""
        if self.precision.quantized:
            return replace(self, fallback_precision=Precision.FP32)
        return replace(self, precision=Precision.FP32)

    def at(self, size: Size, batch: int) -> CompileOptions:
        """The same options for a fixed size and batch.

        Args:
            size: (height, width) in pixels.
            batch: images per pass.
        """
        return replace(self, size=Profile.of(size), batch=Profile.of(batch))

    def fixed_shape(self) -> tuple[Size, int]:
        """Fixed (height, width) in pixels and batch.

        Raises:
            ValueError: one is unknown or a profile of several values.
        """
        size, batch = self.size.fixed if self.size else None, self.batch.fixed
        if size is None or batch is None:
            raise ValueError(f"{self.backend} requires a fixed size and batch")
        return size, batch


def check_shape(size: Size | None, batch: int) -> None:
    """Check a size and a batch.

    Args:
        size: (height, width) in pixels; None skips the check.
        batch: images per pass.

    Raises:
        UsageError: a side or the batch is out of range.
    """
    if size is not None and not all(SMALLEST <= side <= LARGEST for side in size):
        raise UsageError(
            f"size {size[0]}x{size[1]}: expected HxW, each from {SMALLEST} to {LARGEST} pixels"
        )
    if batch < 1:
        raise UsageError(f"batch {batch}: expected at least 1")
