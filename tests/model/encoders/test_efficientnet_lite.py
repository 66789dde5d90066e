"""EfficientNet-Lite: published sizes."""

from __future__ import annotations

import pytest

from lc_trt.model.encoders.efficientnet_lite import efficientnet_lite, round_channels


@pytest.mark.parametrize(
    ("number", "channels", "blocks"),
    [
        (0, (24, 40, 112, 320), [1, 2, 2, 6, 5]),
        (1, (24, 40, 112, 320), [1, 3, 3, 8, 6]),
        (2, (24, 48, 120, 352), [1, 3, 3, 8, 6]),
    ],
)
def test_widths_and_depths_are_those_published(
    number: int, channels: tuple[int, ...], blocks: list[int]
) -> None:
    encoder = efficientnet_lite(f"tf_efficientnet_lite{number}")
    assert encoder.channels == channels
    # The first block belongs to the stem's stride.
    assert [len(encoder.stages[0]) - 1, *(len(s) for s in encoder.stages[1:])] == blocks


def test_channels_are_multiples_of_eight_and_lose_at_most_a_tenth() -> None:
    for channels in range(8, 400):
        rounded = round_channels(channels)
        assert rounded % 8 == 0 and rounded >= 0.9 * channels
