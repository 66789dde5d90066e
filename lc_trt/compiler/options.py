"""What a network is compiled for: one object that every backend, build and bench takes."""

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
    """The numbers of an INT8 network.

    Attributes:
        ranges: lowest and highest value by tensor; values outside saturate.
        keep: convolutions (`QuantizationPlan.convolutions`) that stay in floating point.
    """

    ranges: Mapping[str, Range]
    keep: Collection[str] = ()


@dataclass(frozen=True)
class CompileOptions:
    """What a network is compiled for. `of` takes plain values.

    What the backend can do of it is checked by `lc_trt.backends.registry.compile_options`.

    Attributes:
        backend: the backend's name.
        size: (height, width) in pixels; None is the model's own size.
        batch: images per pass.
        precision: of the engine.
        fallback_precision: in INT8, of what stays in floating point.
        quantization: the numbers of an INT8 network; None before calibration.
        fp32_tensors: tensors that FP16 cannot hold (`lc_trt.quantization.activation_peaks`);
            names that this form of the network does not have are left out.
        reuse: adds temporal reuse to a cascade.
        tensorrt: builder options of TensorRT.
        device: the GPU to compile on, ``cuda:N``; None is that of the current CUDA context, the
            first where there is none.
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
        """The options from plain values.

        Args:
            backend: as the attribute.
            size: (height, width) in pixels, a profile of them, or None.
            batch: images per pass, or a profile of them.
            precision: name of a `Precision`.
            fallback_precision: likewise.
            quantization: as the attribute.
            fp32_tensors: as the attribute.
            reuse: as the attribute.
            tensorrt: as the attribute; None leaves TensorRT's defaults.

        Raises:
            UsageError: no such size, batch or precision.
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
        """The precision of what is computed in floating point."""
        return self.fallback_precision if self.precision.quantized else self.precision

    def with_fp32(self) -> CompileOptions:
        """The same with FP32 for all that is computed in floating point."""
        if self.precision.quantized:
            return replace(self, fallback_precision=Precision.FP32)
        return replace(self, precision=Precision.FP32)

    def at(self, size: Size, batch: int) -> CompileOptions:
        """The same for one size and batch.

        Args:
            size: (height, width) in pixels.
            batch: images per pass.
        """
        return replace(self, size=Profile.of(size), batch=Profile.of(batch))

    def fixed_shape(self) -> tuple[Size, int]:
        """(height, width) in pixels and the batch, where both are fixed.

        Raises:
            ValueError: one is not known, or a profile of several values.
        """
        size, batch = self.size.fixed if self.size else None, self.batch.fixed
        if size is None or batch is None:
            raise ValueError(f"{self.backend} compiles for one size and one batch")
        return size, batch


def check_shape(size: Size | None, batch: int) -> None:
    """Refuse a size or batch that no engine is built for.

    Args:
        size: (height, width) in pixels; None is not checked.
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
