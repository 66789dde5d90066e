"""The trunks have the stages, channels and blocks of their papers."""

import pytest
import torch

from lc_trt.model.irnet import scaled
from lc_trt.model.presets import build_cascade


def on_meta(build, *args):
    """A network on the meta device: shapes and counts only."""
    with torch.device("meta"):
        return build(*args)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("irnet", [1152, 2048, 2048]),
        ("irnet-small", [440, 776, 776]),
        ("inception-resnet-v2", [1088, 2080, 1536]),
    ],
)
def test_stage_channels(name, channels):
    model = on_meta(build_cascade, name, 21)
    x = torch.zeros(1, 3, 64, 96, device="meta")
    found = []
    for stage in model.stages:
        x = stage(x)
        found.append(x.shape[1])
        assert x.shape[2:] == (8, 12)
    assert found == channels


def test_inception_resnet_v2_blocks():
    model = on_meta(build_cascade, "inception-resnet-v2", 21)
    widths = [
        [m.project.conv.out_channels for m in stage if hasattr(m, "project")]
        for stage in model.stages
    ]
    assert widths == [[320] * 10, [1088] * 20, [2080] * 10]


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(192, 1.0, 192), (100, 1.0, 100), (192, 0.375, 72), (32, 0.125, 8), (8, 0.01, 8)],
)
def test_widths_are_multiples_of_8_unless_whole(channels, width, expected):
    assert scaled(channels, width) == expected
