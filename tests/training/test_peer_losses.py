"""The losses of peers against their formulas, pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lc_trt.data.classes import IGNORE
from lc_trt.model.baselines.peer import PeerOutput
from lc_trt.training import peer_losses as module
from lc_trt.training.losses import cross_entropy
from lc_trt.training.peer_losses import (
    WEIGHTS,
    boundaries,
    boundary_loss,
    hard_cross_entropy,
    peer_losses,
    weighted_sum,
)


def scores(probabilities: list[float]) -> Tensor:
    """Logits of two classes, [1, 2, 1, n], with these probabilities of class 0."""
    p = torch.tensor(probabilities)
    return torch.stack([p.log(), (1 - p).log()])[None, :, None]


def test_only_hard_pixels_count() -> None:
    logits, label = scores([0.5, 0.99, 0.8, 0.95]), torch.zeros(1, 1, 4, dtype=torch.uint8)
    expected = -(math.log(0.5) + math.log(0.8)) / 2
    assert float(hard_cross_entropy(logits, label, None)) == pytest.approx(expected, rel=1e-5)
    label[0, 0, 0] = IGNORE
    assert float(hard_cross_entropy(logits, label, None)) == pytest.approx(-math.log(0.8), rel=1e-5)


def test_the_hardest_pixels_count_where_all_are_easy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 0.5)
    logits = scores([0.99, 0.92, 0.98, 0.95])
    label = torch.zeros(1, 1, 4, dtype=torch.uint8)
    expected = -sum(map(math.log, (0.92, 0.95, 0.98))) / 3  # ranks 0 to 4 * 0.5
    assert float(hard_cross_entropy(logits, label, None)) == pytest.approx(expected, rel=1e-4)


def test_class_weights_apply_to_hard_pixels() -> None:
    logits = scores([0.5, 0.3])
    label = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    expected = -(math.log(0.5) + 3 * math.log(0.7)) / 4
    loss = hard_cross_entropy(logits, label, torch.tensor([1.0, 3.0]))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_all_pixels_hard_is_plain_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(2, 5, 6, 7) * 0.1, torch.randint(0, 5, (2, 6, 7))
    torch.testing.assert_close(
        hard_cross_entropy(logits, label, None), cross_entropy(logits, label, None)
    )


def test_ignored_pixels_alone_are_0_with_a_gradient() -> None:
    logits = torch.zeros(1, 3, 4, 4, requires_grad=True)
    label = torch.full((1, 4, 4), IGNORE, dtype=torch.uint8)
    output = PeerOutput(logits, logits, logits[:, :1])
    total = weighted_sum(peer_losses(output, label.repeat(1, 8, 8), None))
    total.backward()  # type: ignore[no-untyped-call]
    assert float(total.detach()) == 0
    assert logits.grad is not None and not logits.grad.any()


@given(seed=st.integers(0, 1000), radius=st.integers(1, 3), classes=st.integers(1, 3))
def test_boundaries_are_windows_with_several_classes(seed: int, radius: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    small = torch.randint(0, classes, (1, 3, 4), generator=generator, dtype=torch.uint8)
    label = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    label[torch.rand(label.shape, generator=generator) < 0.2] = IGNORE
    found = boundaries(label, radius)
    _, height, width = label.shape
    for y in range(height):
        for x in range(width):
            window = label[
                0, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1
            ]
            present = {int(v) for v in window.flatten()} - {IGNORE}
            expected = len(present) > 1 and int(label[0, y, x]) != IGNORE
            assert bool(found[0, y, x]) == expected


def test_the_boundary_loss_balances_both_sides() -> None:
    logits = torch.tensor([[[[2.0, -1.0, 0.5, 3.0, 9.0]]]])
    boundary = torch.tensor([[[1.0, 0.0, 0.0, 0.0, 1.0]]])
    label = torch.tensor([[[0, 0, 0, 0, IGNORE]]], dtype=torch.uint8)
    p = logits.sigmoid()[0, 0, 0]
    expected = -(0.75 * p[0].log() + 0.25 * (1 - p[1:4]).log().sum()) / 4
    torch.testing.assert_close(boundary_loss(logits, label, boundary), expected)


def outputs(boundary: float | None) -> tuple[PeerOutput, Tensor]:
    """Heads on a map of 2 x 4 pixels, and the labels, 16 x 32: class 0 left, class 1 right."""
    torch.manual_seed(0)
    label = torch.zeros(1, 16, 32, dtype=torch.uint8)
    label[:, :, 16:] = 1
    edge = None if boundary is None else torch.full((1, 1, 2, 4), boundary)
    return PeerOutput(torch.randn(1, 2, 2, 4), torch.randn(1, 2, 2, 4), edge), label


def test_the_main_head_is_trained_again_where_the_boundary_head_is_sure() -> None:
    unsure, label = outputs(0.0)
    assert float(peer_losses(unsure, label, None)["at boundaries"]) == 0
    sure, _ = outputs(5.0)
    losses = peer_losses(sure, label, None)
    up = torch.nn.functional.interpolate(sure.logits, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(losses["at boundaries"], cross_entropy(up, label[:, ::2, ::2], None))


def test_the_sum_has_the_published_weights() -> None:
    output, label = outputs(5.0)
    losses = peer_losses(output, label, None)
    assert set(losses) == set(WEIGHTS)
    expected = (
        losses["main"] + 0.4 * losses["auxiliary"] + 20 * losses["boundary"]
        + losses["at boundaries"]
    )  # fmt: skip
    torch.testing.assert_close(weighted_sum(losses), expected)
    without, _ = outputs(None)
    assert set(peer_losses(without, label, None)) == {"main", "auxiliary"}
