import pytest
import torch
from torch.nn import functional

from lc_trt.model.layers import AveragePool, BatchNorm, Chain, Conv, MaxPool, Residual, Upsample
from lc_trt.model.region import CompactRegion


@pytest.fixture
def full():
    return CompactRegion(torch.ones(1, 1, 4, 5, dtype=torch.bool))


def test_batch_norm_is_torchs_without_its_counter():
    torch.manual_seed(0)
    ours, torchs = BatchNorm(3), torch.nn.BatchNorm2d(3, eps=1e-3)
    assert list(ours.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    for _ in range(3):
        x = torch.randn(2, 3, 4, 5) * 3 + 1
        torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_batch_norm_loads_a_plain_dictionary():
    state = dict(Conv(2, 3).state_dict())  # as safetensors gives it: no torch version notes
    assert str(Conv(2, 3).load_state_dict(state)) == "<All keys matched successfully>"


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_max_pool_takes_the_largest_of_the_window(dilation, stride):
    torch.manual_seed(1)
    x = torch.rand(2, 3, 6, 7)
    result = MaxPool(stride=stride, dilation=dilation)(x)
    padded = functional.pad(x, (dilation,) * 4)
    shifted = [
        padded[:, :, dy : dy + 6, dx : dx + 7]
        for dy in (0, dilation, 2 * dilation)
        for dx in (0, dilation, 2 * dilation)
    ]
    expected = torch.stack(shifted).amax(0)[:, :, ::stride, ::stride]
    assert torch.equal(result, expected)


def test_residual_with_a_projected_shortcut():
    torch.manual_seed(2)
    inner, project, shortcut = Conv(3, 2), Conv(2, 5, relu=False), Conv(3, 5, relu=False)
    module = Residual(Chain([inner]), project, scale=1.0, shortcut=shortcut).eval()
    x = torch.randn(1, 3, 4, 5)
    torch.testing.assert_close(module(x), functional.relu(shortcut(x) + project(inner(x))))


def test_residual_scales_its_branch():
    torch.manual_seed(3)
    inner, project = Conv(3, 2), Conv(2, 3, relu=False)
    x = torch.randn(1, 3, 4, 5)
    expected = x + 0.3 * project.eval()(inner.eval()(x))
    plain = Residual(inner, project, scale=0.3, relu=False).eval()
    torch.testing.assert_close(plain(x), expected)
    plain.relu = True
    torch.testing.assert_close(plain(x), expected.clamp(min=0))


def test_layers_without_a_region_form_are_refused(full):
    rows = torch.zeros(20, 2)
    with pytest.raises(ValueError, match="strided or grouped convolution has no region form"):
        Conv(2, 2, 3, stride=2)(rows, full)
    with pytest.raises(ValueError, match="average pooling has no region form"):
        AveragePool()(rows, full)


def test_average_pool_leaves_padding_out():
    assert torch.equal(AveragePool()(torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 3, 3))


def test_upsample_keeps_a_plane_and_crops():
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 3, 4)
    y = Upsample(8)(ramp, (21, 30))
    assert tuple(y.shape) == (1, 1, 21, 30)
    expected = ((torch.arange(30.0) + 0.5) / 8 - 0.5).clamp(0, 3)  # half-pixel centres
    torch.testing.assert_close(y[0, 0, 5], expected)


@pytest.mark.parametrize("channels", [16, 20, 24])
def test_the_bf16_gradient_of_a_dilated_convolution_has_all_channels(channels: int) -> None:
    """oneDNN leaves out the channels after the last block of 16, with several threads only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    conv = Conv(channels, 64, 3, dilation=2, norm=False, relu=False)
    conv.to(memory_format=torch.channels_last)
    x = torch.randn(2, channels, 40, 52).to(memory_format=torch.channels_last)
    gradients = []
    for enabled in (True, False):
        conv.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = conv(x)
        y.float().square().mean().backward()
        gradients.append(conv.conv.weight.grad.clone())
    torch.set_num_threads(threads)
    half, full = gradients
    assert (half - full).abs().max() < 0.03 * full.abs().max()
