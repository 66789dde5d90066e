"""Exit rules are fitted to a network's own disagreement, which they leave unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import build_tiny, save_tiny
from tiny_encoder import soft_encoder_cascade, tiny_encoder_cascade
from tiny_training import make_tree

from lc_trt.data.classes import find_classes
from lc_trt.data.datasets import Dataset, open_dataset
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.exits import FITTED, Learned, kept_share
from lc_trt.model.network import NetworkSpec
from lc_trt.training.checkpoint import load_weights, save_weights
from lc_trt.training.exit_fit import FitReport, boundaries, exit_loss, fit_checkpoint, fit_rules
from lc_trt.training.trained_network import open_network

STEPS = 40


def images(seed: int = 0) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(2, 3, 64, 96, generator=generator)


@pytest.fixture(scope="module")
def fitted() -> EncoderCascade:
    torch.manual_seed(0)
    model = soft_encoder_cascade()
    fit_rules(model, images(), STEPS, rate=1e-2)
    return model


def test_a_boundary_shows_what_the_whole_network_changes() -> None:
    model, x = tiny_encoder_cascade(), next(images())
    with torch.inference_mode():
        whole = model.probabilities(model.deep(x)[2], 3)
        for boundary, size in zip(boundaries(model, x), ((8, 12), (16, 24)), strict=True):
            assert boundary.probabilities.shape == (2, 5, *size)
            assert boundary.kept.shape == (2, 1, *size)
            assert boundary.features.shape[2:] == size
            assert 0 < boundary.kept.mean() < 1
    second = boundaries(model, x)[1]
    # The share over all cells is about the share over all pixels.
    upsampled = [model.upsample(p, (64, 96)).argmax(1) for p in (second.probabilities, whole)]
    changed = (upsampled[0] != upsampled[1]).float().mean()
    assert 1 - second.kept.mean() == pytest.approx(float(changed), abs=0.03)


def test_nothing_changes_where_all_stages_agree() -> None:
    p = torch.rand(1, 4, 6, 7).softmax(1)
    assert torch.equal(kept_share(p, p, 4, (23, 26)), torch.ones(1, 1, 6, 7))


def test_a_pixel_that_changes_counts_for_the_cells_that_it_is_interpolated_from() -> None:
    first = torch.zeros(1, 2, 6, 6)
    first[:, 0] = 1
    other = first.clone()
    other[:, :, 2, 3] = torch.tensor([0.0, 1.0])
    kept = kept_share(first, other, 4, (24, 24))[0, 0]
    assert kept[2, 3] == kept.min() == 1 - 12 / 64
    around = kept[1:4, 2:5]
    assert (kept == 1).sum() == 36 - (around < 1).sum() and (around < 1).sum() > 1


def test_fitting_lowers_the_loss_on_other_images(fitted: EncoderCascade) -> None:
    (learned,) = (r for r in fitted.exit_rules.rules.values() if isinstance(r, Learned))
    unfitted = Learned(fitted.classes, fitted.exit_rules.channels)
    for i in (0, 1):
        losses = []
        for rule in (learned, unfitted):
            with torch.no_grad():
                losses.append(
                    np.mean(
                        [
                            exit_loss(rule, boundaries(fitted, x)[i]).item()
                            for x, _ in zip(images(1), range(3), strict=False)
                        ]
                    )
                )
        assert losses[0] < 0.9 * losses[1]


def test_thresholds_per_class_are_fitted_too(fitted: EncoderCascade) -> None:
    thresholds = fitted.exit_rules.rules["class"].thresholds
    assert thresholds.shape == (2, 5) and len(thresholds.unique()) > 2
    assert (thresholds > 0).all() and (thresholds < 1).all()


def test_the_network_and_its_chosen_rule_stay(fitted: EncoderCascade) -> None:
    before, after = soft_encoder_cascade().state_dict(), fitted.state_dict()
    assert {name for name in after if name not in before} == {
        name for name in after if name.startswith("exit_rules.")
    }
    for name, value in before.items():
        assert torch.equal(after[name], value)
    assert fitted.exit_rules.chosen == "largest"
    assert not fitted.training and not fitted.exit_rules.training


def test_progress_is_reported_and_bad_values_stop() -> None:
    reports: list[FitReport] = []
    fit_rules(soft_encoder_cascade(), images(), 2, on_step=reports.append)
    assert [(r.step, r.steps, len(r.losses)) for r in reports] == [(1, 2, 2), (2, 2, 2)]
    with pytest.raises(LcTrtError, match="step 1: the loss of the exit rule is nan"):
        fit_rules(soft_encoder_cascade(), iter([torch.full((1, 3, 32, 32), torch.nan)]), 1)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    build_tiny(monkeypatch)
    return save_tiny(tmp_path / "best.safetensors")


@pytest.fixture
def samples(tmp_path: Path) -> Dataset:
    """Images and labels of three classes."""
    return open_dataset("folder", make_tree(tmp_path / "data"), "train", find_classes("3"))


def test_a_checkpoint_gets_rules_and_says_which(
    checkpoint: Path, samples: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "fitted.safetensors"
    fit_checkpoint(checkpoint, out, samples, 2, rule="learned")
    network = open_network(out)
    assert network.spec.exit_rule == "learned" and network.spec.fitted_rules == FITTED
    assert isinstance(network.model, EncoderCascade)
    assert network.model.exit_rules.chosen == "learned"
    assert load_weights(out)[1]["classes"] == "3"
    # Fitted again, the same: batches and weights are drawn with a seed.
    again = tmp_path / "again.safetensors"
    fit_checkpoint(checkpoint, again, samples, 2, rule="learned")
    first, second = load_weights(out)[0], load_weights(again)[0]
    assert all(torch.equal(first[name], value) for name, value in second.items())


def test_without_steps_only_the_rule_is_chosen(
    checkpoint: Path, samples: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "margin.safetensors"
    fit_checkpoint(checkpoint, out, samples, 0, rule="margin")
    state, metadata = load_weights(out)
    assert (metadata["exit_rule"], metadata["fitted_rules"]) == ("margin", [])
    assert state.keys() == load_weights(checkpoint)[0].keys()
    with pytest.raises(UsageError, match="'class' has no parameters yet"):
        fit_checkpoint(checkpoint, out, samples, 0, rule="class")
    with pytest.raises(UsageError, match="unknown exit rule 'gini'"):
        fit_checkpoint(checkpoint, out, samples, 2, rule="gini")


def test_a_preset_keeps_its_rule(tmp_path: Path, samples: Dataset) -> None:
    path = tmp_path / "preset.safetensors"
    save_weights(
        path, NetworkSpec("irnet-small").build(3), {"preset": "irnet-small", "classes": "3"}
    )
    with pytest.raises(UsageError, match="irnet-small exits by its largest probability; expected"):
        fit_checkpoint(path, tmp_path / "out", samples, 2)
