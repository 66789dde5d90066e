"""Images to the input of a network, against a plain loop."""

from __future__ import annotations

import numpy as np
import torch

from lc_trt.training.normalise import Normalise


def test_channels_are_first_and_normalised_one_by_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)
    x = Normalise(mean, std)(image[:, ::-1])  # of any strides
    assert x.shape == (2, 3, 5, 7) and x.dtype == torch.float32
    assert torch.equal(Normalise(mean, std, rgb=True)(image[:, ::-1]), x.flip(1))
    for c in range(3):
        expected = (image[:, ::-1, :, c].astype(np.float32) - mean[c]) / std[c]
        np.testing.assert_allclose(x[:, c].numpy(), expected, rtol=1e-6)
