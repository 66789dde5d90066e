"""Networks of timm's as encoders."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision_operators import require_timm

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoders.base import STRIDES
from lc_trt.model.encoders.registry import build_encoder
from lc_trt.model.encoders.timm_encoder import TimmEncoder, import_timm
from lc_trt.model.encoders.weights import load_pretrained

SMALL = "test_resnet"  # 0.5 M parameters
ROUNDS_DOWN = "test_convnext"  # its patches lose the rest of a size


@pytest.fixture(autouse=True)
def timm() -> None:
    require_timm()


@pytest.mark.parametrize("name", [SMALL, ROUNDS_DOWN, "test_efficientnet"])
@pytest.mark.parametrize("size", [(64, 96), (45, 61), (33, 31)])
def test_features_have_their_strides_whatever_the_size(name: str, size: tuple[int, int]) -> None:
    encoder = TimmEncoder(name).eval()
    with torch.inference_mode():
        features = encoder(torch.zeros(1, 3, *size))
    expected = [
        (1, channels, *(-(-side // stride) for side in size))
        for channels, stride in zip(encoder.channels, STRIDES, strict=True)
    ]
    assert [tuple(f.shape) for f in features] == expected


def test_features_are_those_of_the_whole_network_on_rgb() -> None:
    import timm

    torch.manual_seed(0)
    network = timm.create_model(SMALL).eval()
    encoder = TimmEncoder(SMALL).eval()
    encoder.load_timm(network.state_dict())
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = network.forward_intermediates(x.flip(1), intermediates_only=True)
        for ours, theirs in zip(encoder(x), expected[-4:], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_normalisation_and_licence_are_those_of_its_weights() -> None:
    encoder = build_encoder("resnet50.a1_in1k")
    assert isinstance(encoder, TimmEncoder)
    assert encoder.info.mean == pytest.approx((103.53, 116.28, 123.675))
    assert encoder.info.std == pytest.approx((57.375, 57.12, 58.395))
    assert encoder.pretrained["license"] == "apache-2.0"
    assert encoder.pretrained["tag"] == "a1_in1k"


def test_freezing_up_to_a_stride_leaves_the_rest() -> None:
    counts = []
    for stride in (None, *STRIDES):
        encoder = TimmEncoder(SMALL)
        encoder.freeze(stride)
        frozen = {n for n, p in encoder.named_parameters() if not p.requires_grad}
        counts.append(len(frozen))
    assert counts[0] == 0 and counts == sorted(set(counts))
    assert counts[-1] == len(list(encoder.parameters()))
    encoder = TimmEncoder(SMALL)
    encoder.freeze(8)
    encoder.freeze(8)
    x = torch.zeros(1, 3, 64, 96)
    for number, feature in enumerate(encoder(x)):
        assert feature.requires_grad == (STRIDES[number] > 8)


def test_batch_norms_stay_in_evaluation_mode() -> None:
    encoder = TimmEncoder(SMALL).train()
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and encoder.training and not any(norm.training for norm in norms)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "unknown encoder 'resnet19': timm has no such network; did you mean resnet1"),
        ("????", r"timm has no such network; see timm\.list_models\(\)"),
        ("test_vit", "no features at stride 4 or 8 or 32: it has them at 16; choose"),
        ("swin_tiny_patch4_window7_224", "takes no images of 64x96"),
    ],
)
def test_networks_that_are_no_encoder_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_encoder(name)


@pytest.mark.parametrize("kind", ["lacking", "misshapen"])
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, kind: str) -> None:
    import timm

    state = timm.create_model(SMALL).state_dict()
    if kind == "lacking":
        del state["layer2.0.conv1.weight"]
    else:
        state["layer2.0.conv1.weight"] = torch.zeros(1, 1, 1, 1)
    torch.save(state, tmp_path / "x.pth")
    encoder = TimmEncoder(SMALL)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    with pytest.raises(LcTrtError, match=r"layer2.0.conv1.weight"):
        load_pretrained(encoder, str(tmp_path / "x.pth"))
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_weights_that_cannot_be_downloaded_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    encoder = TimmEncoder(SMALL)

    def offline(name: str, **options: object) -> None:
        assert options["pretrained"]
        raise OSError("no\nnetwork")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(LcTrtError, match=r"\(no network\); give a file .* --weights FILE"):
        load_pretrained(encoder, "auto")


def test_timm_that_is_missing_or_broken_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(LcTrtError, match="timm is not installed: pip install timm"):
        import_timm()
    (tmp_path / "timm.py").write_text("raise RuntimeError('no\\noperator')")
    monkeypatch.delitem(sys.modules, "timm")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LcTrtError, match=r"cannot be imported \(no operator\); .*torchvision"):
        import_timm()
