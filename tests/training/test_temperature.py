"""Temperatures: against logits whose temperature is known, and on a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoder import MEAN, STD, soft_encoder_cascade
from torch.nn import functional

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Sample
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.network import NetworkSpec
from lc_trt.training import temperature
from lc_trt.training.checkpoint import load_weights, save_weights
from lc_trt.training.losses import resize_for_loss
from lc_trt.training.normalise import Normalise
from lc_trt.training.temperature import (
    LARGEST,
    LEAST,
    calibrate_checkpoint,
    fit_temperature,
    fit_temperatures,
)

CLASSES = 5
PREPARE = Normalise(MEAN, STD)


class Samples(list[Sample]):
    classes = CLASSES


def drawn(count: int, classes: int, scale: float, true: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn from their softmax at a temperature."""
    logits = scale * torch.randn(count, classes)
    return logits, torch.multinomial((logits / true).softmax(1), 1)[:, 0]


@settings(deadline=None, max_examples=8)
@given(st.floats(0.4, 3.0), st.integers(2, 12), st.integers(0, 99))
def test_the_temperature_that_labels_were_drawn_with_is_found(
    true: float, classes: int, seed: int
) -> None:
    torch.manual_seed(seed)
    logits, labels = drawn(20_000, classes, 2.0, true)
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(true, rel=0.1)
    least = functional.cross_entropy(logits / fitted, labels)
    for other in (0.97 * fitted, 1.03 * fitted):
        assert functional.cross_entropy(logits / other, labels) > least


@pytest.mark.parametrize(("right", "bound"), [(True, LEAST), (False, LARGEST)])
def test_without_an_optimum_it_is_a_bound(right: bool, bound: float) -> None:
    logits = torch.eye(4)
    labels = torch.arange(4) if right else torch.arange(4).roll(1)
    assert fit_temperature(logits, labels) == pytest.approx(bound, rel=1e-6)


def samples(count: int = 3, true: float = 1.7) -> Samples:
    """Images whose labels are drawn from the softmax of stage 3 at a temperature."""
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    model = soft_encoder_cascade(CLASSES)
    found = Samples()
    for number in range(count):
        image = rng.integers(0, 256, (64, 80 + number, 3)).astype(np.uint8)
        label = np.full(image.shape[:2], IGNORE, np.uint8)
        with torch.inference_mode():
            logits, _ = resize_for_loss(
                model.deep(PREPARE(image[None]))[-1], torch.from_numpy(label)[None], 4
            )
        probabilities = (logits / true).softmax(1)[0].flatten(1).T
        drawn = torch.multinomial(probabilities, 1).reshape(logits.shape[2:]).numpy()
        label[::2, ::2] = drawn
        label[:4] = IGNORE
        found.append(Sample(str(number), image, label))
    return found


def test_each_stage_gets_its_own() -> None:
    model = soft_encoder_cascade(CLASSES)
    fitted = fit_temperatures(model, samples(), PREPARE)
    assert torch.equal(model.temperatures, torch.tensor(fitted.temperatures))
    assert fitted.temperatures[2] == pytest.approx(1.7, rel=0.1)
    assert len(set(fitted.temperatures)) == 3
    assert all(after < before for before, after in zip(fitted.before, fitted.after, strict=True))
    assert "NLL" in str(fitted)


def test_pixels_are_drawn_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_temperatures(soft_encoder_cascade(CLASSES), samples(6), PREPARE)
    sizes = []
    fit = temperature.fit_temperature
    monkeypatch.setattr(temperature, "VALUES", 6 * CLASSES * 200)
    monkeypatch.setattr(
        temperature, "fit_temperature", lambda z, y: sizes.append(len(y)) or fit(z, y)
    )
    part = fit_temperatures(soft_encoder_cascade(CLASSES), samples(6), PREPARE)
    assert sizes == [6 * 200] * 3
    assert part.temperatures == pytest.approx(whole.temperatures, rel=0.3)
    assert part.temperatures != whole.temperatures


def test_what_cannot_be_calibrated_is_a_one_line_error() -> None:
    unlabelled = Samples(Sample(s.name, s.image, np.full_like(s.label, IGNORE)) for s in samples(1))
    with pytest.raises(LcTrtError, match="no pixel has a label other than 255"):
        fit_temperatures(soft_encoder_cascade(CLASSES), unlabelled, PREPARE)
    model = soft_encoder_cascade(CLASSES)
    with torch.no_grad():
        model.head2[1].conv.bias[0] = torch.nan
    with pytest.raises(LcTrtError, match="logits are not finite"):
        fit_temperatures(model, samples(1), PREPARE)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint in FP16, whose network is the small one."""
    path = tmp_path / "best.safetensors"
    model = soft_encoder_cascade(CLASSES)
    save_weights(path, model.half(), {"encoder": "tiny", "classes": "5", "val_miou": 2.0})
    monkeypatch.setattr(
        NetworkSpec, "build", lambda self, classes: soft_encoder_cascade(CLASSES, 1)
    )
    monkeypatch.setattr(NetworkSpec, "normalisation", (MEAN, STD))
    return path


def test_a_checkpoint_gets_temperatures_and_the_metrics_with_them(
    checkpoint: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / "a.safetensors", checkpoint]
    before = load_weights(checkpoint)[0]
    calibration, validation = calibrate_checkpoint(checkpoint, outputs, samples(), 0.6)
    for path in outputs:
        state, metadata = load_weights(path)
        assert state["temperatures"].tolist() == pytest.approx(calibration.temperatures)
        for name, tensor in before.items():
            if name != "temperatures":
                assert torch.equal(state[name], tensor) and state[name].dtype == torch.float16
        assert metadata["temperatures"] == list(calibration.temperatures)
        assert metadata["val_miou"] == validation.miou
        assert metadata["val_shares"] == list(validation.shares)
        assert metadata["classes"] == "5"


def test_a_network_without_temperatures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "irnet.safetensors"
    save_weights(path, torch.nn.Conv2d(1, 1, 1), {"preset": "irnet-small", "classes": "5"})
    with pytest.raises(UsageError, match=r"irnet\.safetensors: irnet-small has no temperatures"):
        calibrate_checkpoint(path, [], samples(1), 0.5)
