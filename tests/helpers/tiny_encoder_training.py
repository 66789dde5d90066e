"""A cascade on an encoder, and a configuration of two phases that trains it in a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_encoder import CHANNELS, MEAN, STD, WIDTHS, tiny_encoder
from tiny_training import tiny_config
from torch import nn

from lc_trt.model import network
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.encoders.base import EncoderInfo, SequentialEncoder
from lc_trt.model.encoders.efficientnet_lite import InvertedResidual
from lc_trt.training.config import TrainConfig


def dropping_encoder() -> SequentialEncoder:
    """`tiny_encoder` with blocks that are skipped half of the time."""
    encoder = tiny_encoder()
    for module in encoder.modules():
        if isinstance(module, InvertedResidual) and module.identity:
            module.drop = 0.5
    return SequentialEncoder(EncoderInfo("tiny", MEAN, STD), CHANNELS, list(encoder.stages))


@pytest.fixture(scope="module")
def encoder_networks() -> Iterator[None]:
    """The encoder ``tiny``, and cascades of few channels."""

    def cascade(encoder: nn.Module, classes: int, **options: Any) -> EncoderCascade:
        return EncoderCascade(encoder, classes, WIDTHS, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "build_encoder", lambda name: dropping_encoder())
        patch.setattr(network, "EncoderCascade", cascade)
        yield


def encoder_config(data: Path, **changes: Any) -> TrainConfig:
    """Three steps of all stages, then three of the later stages alone."""
    values: dict[str, Any] = {
        "encoder": {"name": "tiny", "weights": "none", "frozen": None},
        "deep": {},
        "cascade": {
            "loss": "deep",
            "name": "later",
            "freeze_first_stage": True,
            "freeze_batch_norm": False,
        },
        "ema": 0.9,
        "validate_rho": 0.5,
    }
    return tiny_config(data, **{**values, **changes})
