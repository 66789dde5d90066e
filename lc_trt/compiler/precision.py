"""The precisions that networks compute in: the one place that a new one is written into.

Which backends compute in it stands in their `lc_trt.backends.base.Capabilities`.
"""

from __future__ import annotations

from enum import StrEnum

from lc_trt.errors import UsageError


class Precision(StrEnum):
    """What a network computes in.

    Attributes:
        element_type: number of `onnx.TensorProto.DataType`, written out so that the command line
            need not import onnx for its help.
        narrow_range: whether values of an FP32 network may be too large for it.
        quantized: whether it needs ranges of activations, and leaves the rest of the network to a
            fallback precision in floating point.
        help: description of its option of ``lc-trt build``.
    """

    element_type: int
    narrow_range: bool
    quantized: bool
    help: str

    def __new__(
        cls,
        name: str,
        element_type: int,
        help: str,
        narrow_range: bool = False,
        quantized: bool = False,
    ) -> Precision:
        """A member that is the text ``name``; the other arguments are its attributes."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.element_type, member.help = element_type, help
        member.narrow_range, member.quantized = narrow_range, quantized
        return member

    FP32 = "fp32", 1, "Single precision; the CPU's default."
    FP16 = (
        "fp16", 10, "Half precision; TensorRT's default. OpenVINO: where the processor has it.",
        True,
    )  # fmt: skip
    BF16 = "bf16", 16, "bfloat16, where the processor or GPU has it; not ONNX Runtime."
    INT8 = (
        "int8", 3, "INT8; needs --calib. TensorRT: the rest in FP16, or add --fp32, --bf16.",
        False, True,
    )  # fmt: skip

    @classmethod
    def parse(cls, name: str) -> Precision:
        """The precision of that name.

        Args:
            name: the value of a member.

        Raises:
            UsageError: there is none of that name.
        """
        for member in cls:
            if member == name:
                return member
        raise UsageError(f"unknown precision {name!r}: expected {', '.join(cls)}")

    @property
    def reduced_float(self) -> bool:
        """Whether it is a floating-point format of fewer bits than FP32."""
        return not self.quantized and self is not Precision.FP32
