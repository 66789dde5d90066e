"""Denormal numbers are 0 while a network trains, and only then."""

from __future__ import annotations

import pytest
import torch

from lc_trt.training.denormals import denormals_flushed

SMALLEST = 1e-39  # of float32, below the normal numbers


def halved() -> float:
    return float(torch.tensor(SMALLEST) * 0.5)


def test_they_are_flushed_inside_only() -> None:
    assert halved() > 0
    with denormals_flushed():
        assert halved() == 0
    assert halved() > 0


def test_also_after_an_error() -> None:
    with pytest.raises(KeyError), denormals_flushed():
        raise KeyError
    assert halved() > 0
