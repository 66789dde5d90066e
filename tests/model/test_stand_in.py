"""Linear stand-ins, fitted to dense maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoder import tiny_encoder_cascade

from lc_trt.model.neighbours import Neighbours
from lc_trt.model.stand_in import RidgeRegression, fit_stand_ins, stand_in_names


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.floats(1e-4, 10))
def test_the_fit_is_the_minimum_of_the_penalised_error(
    inputs: int, targets: int, parts: int, penalty: float
) -> None:
    """Against NumPy's least squares, with the penalty as further equations."""
    rng = np.random.default_rng(inputs * 10 + targets)
    x = rng.normal(1, 2, (parts, inputs, 4, 3))
    y = rng.normal(-1, 1, (parts, targets, 4, 3))
    fit = RidgeRegression(inputs, targets, penalty)
    for part in range(parts):
        fit.add(torch.from_numpy(x[part : part + 1]), torch.from_numpy(y[part : part + 1]))
    weight, bias, _ = fit.solve()
    rows, values = (np.moveaxis(m, 1, -1).reshape(-1, m.shape[1]) for m in (x, y))
    ridge = np.sqrt(penalty * rows.var(0).mean() * len(rows))
    a = np.block([[rows, np.ones((len(rows), 1))], [ridge * np.eye(inputs), np.zeros((inputs, 1))]])
    expected = np.linalg.lstsq(a, np.concatenate([values, np.zeros((inputs, targets))]))[0]
    np.testing.assert_allclose(weight.numpy(), expected[:-1].T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bias.numpy(), expected[-1], rtol=1e-4, atol=1e-5)


def test_explained_variance_is_that_of_the_prediction() -> None:
    torch.manual_seed(0)
    x, noise = torch.randn(2, 3, 8, 8), torch.randn(2, 2, 8, 8)
    y = torch.nn.functional.conv2d(x, torch.randn(2, 3, 1, 1)) + 0.5 * noise
    fit = RidgeRegression(3, 2)
    fit.add(x, y)
    weight, bias, explained = fit.solve()
    missed = y - torch.nn.functional.conv2d(x, weight[:, :, None, None], bias)
    spread = y - y.mean((0, 2, 3), keepdim=True)
    assert explained == pytest.approx(
        1 - float(missed.square().sum() / spread.square().sum()), abs=1e-4
    )


def test_without_maps_there_is_nothing_to_fit() -> None:
    with pytest.raises(ValueError, match="no map"):
        RidgeRegression(2, 2).solve()


def test_stand_ins_are_fitted_to_the_maps_that_they_stand_for() -> None:
    model = tiny_encoder_cascade(neighbours=Neighbours.STAND_IN)
    torch.manual_seed(3)
    images = [torch.randn(1, 3, 64, 80) for _ in range(3)]

    def error() -> float:
        with torch.no_grad():
            maps = [model.trunk(x)[1] for x in images]
            parts = [
                (model.stand_in2(m.guide) - model.context(m.features)).square().mean() for m in maps
            ]
        return float(torch.stack(parts).mean())

    before = error()
    explained = fit_stand_ins(model, images)
    assert error() < before
    assert all(0 < share <= 1 for share in explained)
    # The guide is a part of what stage 3 reads, so that part is linear in it.
    assert explained[1] > 0.3


def test_only_a_network_with_stand_ins_has_some() -> None:
    assert not stand_in_names(tiny_encoder_cascade())
    names = stand_in_names(tiny_encoder_cascade(neighbours=Neighbours.STAND_IN))
    assert names == {f"stand_in{i}.conv.{part}" for i in (2, 3) for part in ("weight", "bias")}
