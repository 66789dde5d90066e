from itertools import pairwise

import torch

from lc_trt.model.presets import build_dense, count_parameters


def vgg16_largefov(classes):
    """Weights and biases of the published layer list."""
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    convs = sum(a * b * 9 + b for a, b in pairwise(widths))
    return convs + (512 * 9 + 1) * 1024 + (1024 + 1) * 1024 + (1024 + 1) * classes


def on_meta(classes=21):
    with torch.device("meta"):
        return build_dense("vgg16", classes)


def dilations():
    convs = [m for m in on_meta().modules() if isinstance(m, torch.nn.Conv2d)]
    return [m.dilation[0] for m in convs if m.kernel_size == (3, 3)]


def test_parameters():
    assert vgg16_largefov(21) == 20_505_429
    assert count_parameters(on_meta()) == vgg16_largefov(21)
    assert count_parameters(on_meta(5)) == vgg16_largefov(5)


def test_dilations():
    assert dilations() == [1] * 10 + [2] * 3 + [12]


def test_it_has_no_batch_norm():
    assert not any("bn" in key for key in on_meta().state_dict())
