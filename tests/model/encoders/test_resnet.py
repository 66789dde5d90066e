"""ResNet-18: its published size."""

from __future__ import annotations

from lc_trt.model.encoders.resnet import resnet18


def test_it_has_the_published_parameters() -> None:
    encoder = resnet18()
    # 11.69 M less the classifier of 1000 classes.
    assert sum(p.numel() for p in encoder.parameters()) == 11_689_512 - 513_000
    assert encoder.channels == (64, 128, 256, 512)
