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
    """The values that an engine supports: ``min`` to ``max``, fastest at ``opt``."""

    min: T
    opt: T
    max: T

    @classmethod
    def of(cls, value: T) -> Profile[T]:
        """A profile of a single value.

        Args:
            value: minimum, optimum and maximum.
        """
        return cls(value, value, value)

    @property
    def fixed(self) -> T | None:
        """The only value; None if there are several."""
        return self.opt if self.min == self.max else None


@dataclass(frozen=True)
class Exclusion:
    """Layers or tensors excluded from a reduced precision.

    Attributes:
        layers: paths of layers, or a common prefix (INT8); tensor names (FP16).
        reason: why they are excluded.
    """

    layers: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class TableSummary:
    """A `lc_trt.quantization.calibration_table.CalibrationTable` without its ranges.

    Attributes:
        model: name of the network.
        model_sha256: hash of the weights and nodes that compute its tensors, not of a file.
        method: range estimator, see `lc_trt.quantization.range_estimators`.
        percentile: parameter of the method, 0 to 100; None if it has none.
        images: number of images that were used.
        skipped: number of unreadable images.
        images_sha256: hash of the image list.
        size: (height, width) of the network's input in pixels.
        rho: thresholds of boundaries 1|2 and 2|3; None for a dense network.
        tensors: number of tensors with a range.
        lc_trt_version: version that wrote the table.
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
        table: source of the ranges.
        fallback_precision: precision of the layers outside INT8: ``fp32``, ``fp16`` or ``bf16``.
        excluded: layers excluded from INT8, with reasons.
        excluded_convolutions: paths of all convolutions in these layers.
    """

    table: TableSummary
    fallback_precision: str
    excluded: tuple[Exclusion, ...] = ()
    excluded_convolutions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fp16Calibration:
    """Tensors that stay in FP32 because their values exceed the range of FP16.

    Attributes:
        source: description of the images on which the values were measured.
        images: number of these images.
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
    """Measurements on images for a build in reduced precision.

    Attributes:
        int8: calibration of an INT8 engine; None for others.
        fp16: calibration of an engine that computes in FP16, alone or as the fallback of INT8;
            None for others.
    """

    int8: Int8Calibration | None = None
    fp16: Fp16Calibration | None = None


@dataclass(frozen=True)
class Agreement:
    """Agreement of two engines over all images and thresholds.

    Attributes:
        count: images times thresholds.
        labels: share of equal labels in the worst pass, 0 to 1.
        stages: share of equal stages in the worst pass, 0 to 1; 1 for dense networks.
        confidence: largest difference in confidence between pixels of equal stage.
        mean_labels, mean_stages: mean shares over all passes.
        non_finite: number of confidences that are NaN or infinite in either engine. Their pixels
            count as disagreement.
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
        fp32, int8: mIoU in each precision, 0 to 1.
        drop: FP32 minus INT8, in percentage points.
    """

    fp32: Share
    int8: Share
    drop: float


@dataclass(frozen=True)
class SpeedRatios:
    """Speed-ups over another engine: its time divided by this engine's; above 1 is faster.

    Attributes:
        default: at the default thresholds.
        fast: at the fast thresholds.
    """

    default: float
    fast: float


@dataclass(frozen=True)
class Speed:
    """Speed-ups of a cascade in reduced precision, from a few passes on the build machine.

    Attributes:
        over_dense: over the dense network in the same precision.
        over_fp32: over the same cascade in FP32.
    """

    over_dense: SpeedRatios
    over_fp32: SpeedRatios


@dataclass(frozen=True)
class Check:
    """The comparison with FP32 after the build.

    Attributes:
        skip_reason: why the engine was not compared; None if it was.
        run_by: the backend that ran the compared network: the engine's own; ONNX Runtime if an
            INT8 engine could not run on the build machine; None without a comparison.
        images: description of the images.
        agreement: agreement with ONNX Runtime in FP32; None without a comparison.
        required: share of labels that had to agree, 0 to 1; None if ``miou`` decided.
        miou: accuracy of an INT8 engine built with labelled images; None for others.
        speed: speed-ups of a cascade in reduced precision on the CPU; None for others.
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
        """The result of the comparison as a sentence."""
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
        package: ``tensorrt`` or ``tensorrt_rtx``.
        version: version of the package.
        compute_capabilities: GPU targets; empty for the GPU of the build machine only.
        workspace_mib: workspace limit per operator in MiB; None for all GPU memory.
        optimization_level: builder optimisation level, 0 to 5; None for TensorRT's default.
        version_compatible: whether later TensorRT releases of the same major version load it.
        hardware_compatible: whether all GPUs from Ampere on run it.
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
        name: namespace of the plugins.
        version: version of the plugins' inputs and attributes.
        sha256: hash of the library.
        file: file name in the bundle.
    """

    name: str
    version: str
    sha256: Sha256
    file: FileName


@dataclass(frozen=True)
class ReuseInputs:
    """Extra inputs of an engine built for temporal reuse.

    Attributes:
        inputs: shapes by input name (`lc_trt.ir.interface`); each ``past_*`` has an output
            ``present_*``.
    """

    inputs: dict[str, tuple[Count, ...]]
