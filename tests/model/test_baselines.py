from itertools import pairwise

import pytest
import torch

from lc_trt.model.baselines import BASELINES
from lc_trt.model.presets import build_dense, count_parameters, find_network


def vgg16_largefov(classes):
    """Weights and biases of the published layer list."""
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    convs = sum(a * b * 9 + b for a, b in pairwise(widths))
    return convs + (512 * 9 + 1) * 1024 + (1024 + 1) * 1024 + (1024 + 1) * classes


def resnet101_trunk(values_a_channel):
    """Convolution weights of the published layer list, and batch norm's values."""
    layers = [(3, 64, 7)]
    cin = 64
    for hidden, count in ((64, 3), (128, 4), (256, 23), (512, 3)):
        for i in range(count):
            layers += [(cin, hidden, 1), (hidden, hidden, 3), (hidden, 4 * hidden, 1)]
            if i == 0:
                layers.append((cin, 4 * hidden, 1))
            cin = 4 * hidden
    return sum(a * b * k * k + values_a_channel * b for a, b, k in layers)


@pytest.fixture(params=BASELINES)
def name(request):
    return request.param


def on_meta(name, classes=21):
    with torch.device("meta"):
        return build_dense(name, classes)


def test_vgg16_count():
    assert vgg16_largefov(21) == 20_505_429
    assert count_parameters(on_meta("vgg16")) == vgg16_largefov(21)
    assert count_parameters(on_meta("vgg16", 5)) == vgg16_largefov(5)


def test_resnet101_count():
    assert resnet101_trunk(2) == 42_500_160  # what every published ResNet-101 counts
    model = on_meta("resnet101")
    assert count_parameters(model.stages) == resnet101_trunk(4)
    assert count_parameters(model.heads) == 4 * (2048 * 9 * 21 + 21)


def test_output_stride_is_8(name):
    model = on_meta(name)
    logits = model(torch.zeros(2, 3, 300, 500, device="meta"))
    assert tuple(logits.shape) == (2, 21, 38, 63)
    assert tuple(model.upsample(logits, (300, 500)).shape) == (2, 21, 300, 500)
    assert model.classes == 21


def test_dilations():
    def of(name):
        convs = [m for m in on_meta(name).modules() if isinstance(m, torch.nn.Conv2d)]
        return [m.dilation[0] for m in convs if m.kernel_size == (3, 3)]

    assert of("vgg16") == [1] * 10 + [2] * 3 + [12]
    assert of("resnet101") == [1] * 7 + [2] * 23 + [4] * 3 + [6, 12, 18, 24]


def test_only_resnet_has_batch_norm():
    assert not any("bn" in key for key in on_meta("vgg16").state_dict())
    assert any("bn.running_var" in key for key in on_meta("resnet101").state_dict())


def test_runs_and_is_finite(name):
    torch.manual_seed(0)
    model = build_dense(name, 3).eval()
    with torch.inference_mode():
        logits = model(torch.randn(1, 3, 24, 40))
    assert tuple(logits.shape) == (1, 3, 3, 5)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0


def test_carries_its_normalisation(name):
    network = find_network(name)
    assert network.name == name
    assert network.mean[0] < network.mean[2]  # blue first
    assert min(network.std) > 1  # units of 0..255
