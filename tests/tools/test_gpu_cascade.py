"""The executor of tools/gpu, on the emulator, against PyTorch's own cascade."""

from __future__ import annotations

import pytest
import torch
from gpubench.cascade import KernelCascade, disagreement
from gpubench.network import shares_of, thresholds, tune
from tiny_networks import frames, tiny_cascade, to_input

SIZE, BATCH = (24, 32), 2  # 24 pixels of the feature map: one tile of rows
TOLERANCE = {torch.float32: 3e-6, torch.float16: 4e-3}


def executor(model, kernels, dtype):
    return KernelCascade(model, kernels, BATCH, SIZE, dtype, "plain")


def images():
    return to_input(frames(BATCH, SIZE))


@pytest.mark.parametrize(
    ("trunk", "form", "dtype"),
    [
        ("irnet", "aspp", torch.float32),
        ("irnet", "plain", torch.float16),
        ("inception", "plain", torch.float16),
    ],
)
def test_logits_are_pytorch_s(kernels, trunk, form, dtype):
    """On regions that are empty, full, and cut twice."""
    model = tiny_cascade(trunk, form)
    cascade = executor(model, kernels, dtype)
    partial = thresholds(cascade, cascade.input(images()), (0.5, 0.25, 0.25))
    model = model.double()
    for rho, shares in [
        ((-1.0, -1.0), (1, 0, 0)),
        ((1.0, 1.0), (0, 0, 1)),
        (partial, (0.5, 0.25, 0.25)),
    ]:
        cascade.rho.copy_(torch.as_tensor(rho))
        assert disagreement(cascade, model, images().double()) < TOLERANCE[dtype]
        assert shares_of(cascade(cascade.input(images()))) == pytest.approx(shares, abs=0.03)


def test_a_pass_is_pytorch_s_own(kernels):
    """Thresholds between two confidences, so that rounding moves no pixel."""
    model, x = tiny_cascade("irnet", "plain"), images()

    def between(confidence):
        ordered = confidence.flatten().sort().values
        return float(ordered[len(ordered) // 2 - 1 :][:2].mean())

    with torch.no_grad():
        one = between(model(x, (-1.0, -1.0)).confidence)
        second = model(x, (one, -1.0))
        rho = one, between(second.confidence[second.regions[0].hard])
        expected = model(x, rho)
    cascade = executor(model, kernels, torch.float32)
    cascade.rho.copy_(torch.as_tensor(rho))
    found = cascade(cascade.input(x))
    assert set(found.stages.unique().tolist()) == {1, 2, 3}
    assert torch.equal(found.stages, expected.stages)
    torch.testing.assert_close(found.probabilities, expected.probabilities, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.confidence, expected.confidence, rtol=1e-4, atol=1e-5)


def test_a_wrong_convolution_shows(kernels):
    model = tiny_cascade("irnet", "plain")
    cascade = executor(model, kernels, torch.float32)
    cascade.rho.fill_(1.0)
    cascade.stages[1].plan.convs()[2].bias += 0.5
    assert disagreement(cascade, model, images()) > 1e-2


def test_buffers_are_used_again(kernels):
    cascade = executor(tiny_cascade("irnet", "plain"), kernels, torch.float32)
    buffers = cascade.stages[1].buffers
    assert len({b.data_ptr() for b in buffers}) < len(buffers)


def test_tuning_takes_the_fastest_tactic(kernels, fake_backend):
    cascade = executor(tiny_cascade("irnet", "plain"), kernels, torch.float16)
    cascade.rho.copy_(torch.as_tensor((-1.0, -1.0)))  # no rows: the emulator has little to do
    tactics = kernels.tactics(torch.float16)
    order = [float(tactics - t) if t != 2 else 0.5 for t in range(tactics)] * 999
    chosen = tune(cascade, cascade.input(images()), fake_backend(iter(order)))
    steps = [s for stage in cascade.stages for s in stage.plan.convs()]
    assert len(chosen) == len(steps)
    assert {step.tactic for step in steps} == set(chosen.values()) == {3}
