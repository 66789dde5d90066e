"""EfficientNet-Lite: published sizes."""

from __future__ import annotations

import pytest

from lc_trt.model.encoders.efficientnet_lite import TRIMMED, efficientnet_lite, round_channels


@pytest.mark.parametrize(
    ("name", "channels", "blocks"),
    [
        ("tf_efficientnet_lite0", (24, 40, 112, 320), [1, 2, 2, 6, 5]),
        ("tf_efficientnet_lite1", (24, 40, 112, 320), [1, 3, 3, 8, 6]),
        ("tf_efficientnet_lite2", (24, 48, 120, 352), [1, 3, 3, 8, 6]),
        ("tf_efficientnet_lite0_trimmed", (24, 40, 112, 192), [1, 2, 2, 6, 3]),
        ("tf_efficientnet_lite2_trimmed", (24, 48, 120, 208), [1, 3, 3, 8, 4]),
    ],
)
def test_widths_and_depths_are_those_published(
    name: str, channels: tuple[int, ...], blocks: list[int]
) -> None:
    encoder = efficientnet_lite(name)
    assert encoder.channels == channels
    # The first block belongs to the stem's stride.
    assert [len(encoder.stages[0]) - 1, *(len(s) for s in encoder.stages[1:])] == blocks


def test_a_trimmed_variant_is_the_whole_one_without_its_last_blocks() -> None:
    whole, trimmed = (efficientnet_lite(f"tf_efficientnet_lite1{end}") for end in ("", TRIMMED))
    expected = {k: v.shape for k, v in whole.state_dict().items()}
    found = {k: v.shape for k, v in trimmed.state_dict().items()}
    assert found.items() < expected.items()
    left_out = [name for name, v in expected.items() if name not in found and len(v) == 4]
    assert len(left_out) == trimmed.info.left_out
    drop = {name: m.drop for name, m in whole.named_modules() if hasattr(m, "drop")}
    assert {name: m.drop for name, m in trimmed.named_modules() if hasattr(m, "drop")} == {
        name: value for name, value in drop.items() if f"{name}.branch.0.conv.weight" in found
    }


def test_channels_are_multiples_of_eight_and_lose_at_most_a_tenth() -> None:
    for channels in range(8, 400):
        rounded = round_channels(channels)
        assert rounded % 8 == 0 and rounded >= 0.9 * channels
