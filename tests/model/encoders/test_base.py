"""What every encoder does."""

from __future__ import annotations

import pytest
import torch
from tiny_encoder import CHANNELS, tiny_encoder

from lc_trt.model.encoders.base import STRIDES, EncoderInfo, SequentialEncoder
from lc_trt.model.layers import BatchNorm, Chain


@pytest.mark.parametrize("size", [(32, 64), (45, 61), (33, 31)])
def test_features_have_their_strides_whatever_the_size(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        features = tiny_encoder().eval()(torch.zeros(1, 3, *size))
    expected = [
        (1, channels, *(-(-side // stride) for side in size))
        for channels, stride in zip(CHANNELS, STRIDES, strict=True)
    ]
    assert [tuple(f.shape) for f in features] == expected


def test_freezing_up_to_a_stride_leaves_the_rest() -> None:
    encoder = tiny_encoder()
    encoder.freeze(8)
    fixed = [not any(p.requires_grad for p in s.parameters()) for s in encoder.stages]
    assert fixed == [True, True, True, False, False]
    encoder = tiny_encoder()
    encoder.freeze(None)
    assert all(p.requires_grad for p in encoder.parameters())


def test_batch_norms_stay_in_evaluation_mode() -> None:
    encoder = tiny_encoder().train()
    norms = [m for m in encoder.modules() if isinstance(m, BatchNorm)]
    assert norms and encoder.training and not any(norm.training for norm in norms)


def test_another_number_of_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="2 stages, expected 5"):
        SequentialEncoder(
            EncoderInfo("x", (0.0,) * 3, (1.0,) * 3), CHANNELS, [Chain([]), Chain([])]
        )
