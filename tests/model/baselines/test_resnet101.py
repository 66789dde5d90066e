import torch

from lc_trt.model.presets import build_dense, count_parameters


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


def on_meta(classes=21):
    with torch.device("meta"):
        return build_dense("resnet101", classes)


def dilations():
    convs = [m for m in on_meta().modules() if isinstance(m, torch.nn.Conv2d)]
    return [m.dilation[0] for m in convs if m.kernel_size == (3, 3)]


def test_parameters():
    assert resnet101_trunk(2) == 42_500_160  # what every published ResNet-101 counts
    model = on_meta()
    assert count_parameters(model.stages) == resnet101_trunk(4)
    assert count_parameters(model.heads) == 4 * (2048 * 9 * 21 + 21)


def test_dilations():
    assert dilations() == [1] * 7 + [2] * 23 + [4] * 3 + [6, 12, 18, 24]


def test_it_has_batch_norm():
    assert any("bn.running_var" in key for key in on_meta().state_dict())
