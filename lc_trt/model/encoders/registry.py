"""Encoders by name."""

from __future__ import annotations

from lc_trt.errors import UsageError
from lc_trt.model.encoders.base import Encoder
from lc_trt.model.encoders.efficientnet_lite import SCALES, efficientnet_lite
from lc_trt.model.encoders.resnet import NAME as RESNET18
from lc_trt.model.encoders.resnet import resnet18

OWN = (*SCALES, RESNET18)


def build_encoder(name: str) -> Encoder:
    """Create an encoder with random weights.

    Args:
        name: one of `OWN`.

    Raises:
        UsageError: unknown name.
    """
    if name in SCALES:
        return efficientnet_lite(name)
    if name == RESNET18:
        return resnet18()
    raise UsageError(f"unknown encoder {name!r}: expected one of {', '.join(OWN)}")
