"""Encoders and pyramid in ONNX Runtime against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from emitted import run_emitted
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoder import tiny_encoder

from lc_trt.ir.export.encoder import emit_encoder, emit_pyramid
from lc_trt.model.encoders.registry import OWN, build_encoder
from lc_trt.model.presets import initialise
from lc_trt.model.pyramid import Pyramid


def check_encoder(encoder: torch.nn.Module, x: torch.Tensor) -> None:
    results = run_emitted(lambda b, names: emit_encoder(encoder, b, names[0]), [x])
    with torch.no_grad():
        expected = encoder(x)
    for result, features in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, features, atol=1e-4 * float(features.abs().max()))


@given(size=st.tuples(st.integers(8, 80), st.integers(8, 80)))
def test_encoder_of_any_size(size):
    torch.manual_seed(0)
    check_encoder(initialise(tiny_encoder()).eval(), torch.randn(1, 3, *size))


@pytest.mark.parametrize("name", OWN)
def test_our_encoders(name):
    torch.manual_seed(0)
    check_encoder(initialise(build_encoder(name)).eval(), torch.randn(1, 3, 75, 90))


@given(size=st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_pyramid(size):
    torch.manual_seed(0)
    pyramid = initialise(Pyramid((3, 4, 5), 8)).eval()
    features = []
    for channels in (3, 4, 5):
        features.append(torch.randn(2, channels, *size))
        size = tuple(-(-side // 2) for side in size)
    (result,) = run_emitted(lambda b, names: [emit_pyramid(pyramid, b, names)], features)
    with torch.no_grad():
        np.testing.assert_allclose(result, pyramid(features).numpy(), atol=1e-4)
