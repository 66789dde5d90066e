"""Encoders by name."""

from __future__ import annotations

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoders.base import Encoder
from lc_trt.model.encoders.efficientnet_lite import NAMES, efficientnet_lite
from lc_trt.model.encoders.resnet import NAME as RESNET18
from lc_trt.model.encoders.resnet import resnet18
from lc_trt.model.encoders.timm_encoder import TimmEncoder, import_timm

OWN = (*NAMES, RESNET18)


def build_encoder(name: str) -> Encoder:
    """Create an encoder with random weights.

    Args:
        name: one of `OWN`, or a network of timm's.

    Raises:
        UsageError: unknown name, a network without features at the strides, or one of timm's
            where timm cannot be imported.
    """
    if name in NAMES:
        return efficientnet_lite(name)
    if name == RESNET18:
        return resnet18()
    try:
        import_timm()
    except LcTrtError as error:
        raise UsageError(
            f"encoder {name!r} is none of {', '.join(OWN)}, and networks of timm's need timm: "
            f"{error}"
        ) from error
    return TimmEncoder(name)
