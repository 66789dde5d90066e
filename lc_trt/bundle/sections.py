"""The sections of a manifest. Their field names are the keys of ``manifest.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from lc_trt.bundle.typed_json import at_least, between, matches

T = TypeVar("T", int, tuple[int, int])
Count = Annotated[int, at_least(1)]
Size = tuple[Count, Count]  # (height, width) in pixels
Share = Annotated[float, between(0, 1)]
Rho = tuple[Share, Share]  # thresholds of boundaries 1|2 and 2|3
Sha256 = Annotated[str, matches("[0-9a-f]{64}", "a SHA-256 in hexadecimal")]
# A name with a path in it would reach outside the bundle.
FileName = Annotated[str, matches(r"[\w-][\w.-]*", "a file name without a path")]
Version = Annotated[str, matches(r"\d+(\.\w+)*", "a version such as 10.13.0")]
Capability = Annotated[str, matches(r"\d+\.\d+", "a compute capability such as 8.9")]


@dataclass(frozen=True)
class Profile(Generic[T]):
    """The values that an engine takes: from ``min`` to ``max``, fastest at ``opt``."""

    min: T
    opt: T
    max: T

    @classmethod
    def of(cls, value: T) -> Profile[T]:
        """This value and no other."""
        return cls(value, value, value)

    @property
    def fixed(self) -> T | None:
        """The value where there is only one."""
        return self.opt if self.min == self.max else None


@dataclass(frozen=True)
class Exclusion:
    """What stays out of a reduced precision.

    Attributes:
        layers: paths of layers or the start of one (INT8), names of tensors (FP16).
        reason: why, in words.
    """

    layers: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class TableSummary:
    """A calibration table (`lc_trt.quantization.calibration_table.Table`) without its ranges.

    Attributes:
        model: name of the network.
        model_sha256: over what computes its tensors, not over a file.
        method: of `lc_trt.quantization.range_estimators`; ``percentile`` is its parameter,
            0 to 100, None where it has none.
        images: how many were seen; ``skipped`` counts those that were broken.
        images_sha256: of the image list.
        size: (height, width) they were seen at.
        rho: thresholds they were seen at; None for a dense network.
        tensors: how many have a range.
        lc_trt_version: what made the table.
    """

    model: str
    model_sha256: Sha256
    method: str
    percentile: float | None
    images: Annotated[int, at_least(0)]
    skipped: Annotated[int, at_least(0)]
    images_sha256: Sha256
    size: Size
    rho: tuple[float, float] | None
    tensors: Annotated[int, at_least(0)]
    lc_trt_version: str


@dataclass(frozen=True)
class Int8Calibration:
    """How an engine was quantised.

    Attributes:
        table: where the ranges are from.
        fallback_precision: of what is not computed in INT8: ``fp32``, ``fp16`` or ``bf16``.
        excluded: layers that stay out of INT8, and why.
        excluded_convolutions: paths of all convolutions that these layers hold, for
            `lc_trt.compiler.passes.insert_qdq.Quantization`.
    """

    table: TableSummary
    fallback_precision: str
    excluded: tuple[Exclusion, ...] = ()
    excluded_convolutions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fp16Calibration:
    """What values beyond FP16 keep in FP32.

    Attributes:
        source: the images on which values were measured, in words; ``images`` counts them.
        excluded: one entry per tensor that stays in FP32.
    """

    source: str
    images: Count
    excluded: tuple[Exclusion, ...] = ()

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that stay in FP32."""
        return tuple(name for entry in self.excluded for name in entry.layers)


@dataclass(frozen=True)
class Calibration:
    """What was measured on images to build in a reduced precision.

    Attributes:
        int8: of an INT8 engine; None for others.
        fp16: of an engine that computes in FP16, all of it or beside INT8; None for others.
    """

    int8: Int8Calibration | None = None
    fp16: Fp16Calibration | None = None


@dataclass(frozen=True)
class Agreement:
    """Two engines compared, over all images and thresholds.

    Attributes:
        count: images times thresholds.
        labels: share of equal labels, the worst pass.
        stages: share of equal stages, the worst pass; 1 for dense networks.
        confidence: largest difference of confidence where the stage is the same.
        mean_labels, mean_stages: the shares over all passes.
        non_finite: number of confidences that are NaN or infinite in either engine. Their pixels
            are in none of the shares.
    """

    count: int
    labels: Share
    stages: Share
    confidence: float
    mean_labels: Share = 1.0
    mean_stages: Share = 1.0
    non_finite: Annotated[int, at_least(0)] = 0


@dataclass(frozen=True)
class Miou:
    """mIoU on labelled images at the default thresholds.

    Attributes:
        fp32, int8: 0 to 1.
        drop: how much INT8 costs, in points (0 to 100).
    """

    fp32: Share
    int8: Share
    drop: float


@dataclass(frozen=True)
class SpeedRatios:
    """Another engine's time over this engine's, at this engine's thresholds; over 1 is faster."""

    default: float
    fast: float


@dataclass(frozen=True)
class Speed:
    """Whether a cascade in reduced precision pays, from a few passes on the machine of the build.

    Attributes:
        over_dense: beside the dense network in the same precision.
        over_fp32: beside the same cascade in FP32.
    """

    over_dense: SpeedRatios
    over_fp32: SpeedRatios


@dataclass(frozen=True)
class Check:
    """The comparison with FP32 after the build.

    Attributes:
        skip_reason: why the engine was not compared; None where it was.
        run_by: the backend that ran what was compared: the engine's own; ONNX Runtime for the
            network of an INT8 engine that could not run where it was built; None where nothing was.
        images: what both ran, in words.
        agreement: with ONNX Runtime in FP32.
        required: the share that had to agree, 0 to 1; None where ``miou`` decided.
        miou: of an INT8 engine built with labelled images.
        speed: of a cascade in reduced precision on the CPU.
    """

    skip_reason: str | None = None
    run_by: str | None = None
    images: str | None = None
    agreement: Agreement | None = None
    required: Share | None = None
    miou: Miou | None = None
    speed: Speed | None = None

    @property
    def checked(self) -> bool:
        """Whether the engine itself was compared."""
        return self.skip_reason is None

    @property
    def summary(self) -> str:
        """What the comparison found, in words."""
        if self.agreement is None:
            return f"not checked: {self.skip_reason}"
        shares = (
            f"{self.agreement.labels:.2%} of labels, {self.agreement.stages:.2%} of stages "
            f"({self.agreement.count} passes, {self.images})"
        )
        if self.checked:
            return f"agrees with ONNX Runtime on {shares}"
        return (
            f"not checked: {self.skip_reason}; its network, run by ONNX Runtime, "
            f"agrees with FP32 on {shares}"
        )


@dataclass(frozen=True)
class TensorRTBuild:
    """How TensorRT built the engine.

    Attributes:
        package: ``tensorrt`` or ``tensorrt_rtx``; ``version`` is its version.
        compute_capabilities: GPUs that it was built for; empty where for the GPU at hand only.
        workspace_mib: largest scratch memory of an operator; None for all of the GPU's.
        optimization_level: 0 to 5; None for TensorRT's own.
        version_compatible: whether later TensorRT of the same major version loads it.
        hardware_compatible: whether GPUs from Ampere on run it.
    """

    package: str
    version: Version
    compute_capabilities: tuple[Capability, ...] = ()
    workspace_mib: Count | None = None
    optimization_level: Annotated[int, between(0, 5)] | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False


@dataclass(frozen=True)
class PluginRecord:
    """The plugin library that an engine needs.

    Attributes:
        name: namespace of the plugins; ``version`` is that of their inputs and attributes.
        sha256: of the library.
        file: its name in the bundle.
    """

    name: str
    version: str
    sha256: Sha256
    file: FileName


@dataclass(frozen=True)
class ReuseInputs:
    """What an engine takes that lets frames reuse results.

    Attributes:
        inputs: shapes of its extra inputs by name (`lc_trt.ir.interface`); each ``past_*`` has an
            output ``present_*``.
    """

    inputs: dict[str, tuple[Count, ...]]
