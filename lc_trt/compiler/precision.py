"""The precisions of networks. A new one is defined here only.

Backends list theirs in `lc_trt.backends.base.Capabilities`.
"""

from __future__ import annotations

from enum import StrEnum

from lc_trt.errors import UsageError


class Precision(StrEnum):
    """Precision of a network.

    Attributes:
        element_type: value of `onnx.TensorProto.DataType`, as a number so that the command line's
            help does not import onnx.
        narrow_range: whether values of an FP32 network may exceed its range.
        quantized: whether it needs activation ranges, with a floating-point fallback precision for
            the rest of the network.
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
        """Create a member.

        Args:
            name: value of the member.
            element_type: as the attribute.
            help: as the attribute.
            narrow_range: as the attribute.
            quantized: as the attribute.
        """
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
        """Parse the name of a precision.

        Args:
            name: value of a member.

        Raises:
            UsageError: unknown name.
        """
        for member in cls:
            if member == name:
                return member
        raise UsageError(f"unknown precision {name!r}: expected {', '.join(cls)}")

    @property
    def reduced_float(self) -> bool:
        """Whether it is a floating-point format of fewer bits than FP32."""
        return not self.quantized and self is not Precision.FP32
