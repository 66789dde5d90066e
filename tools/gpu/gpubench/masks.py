"""Regions of an exact share of a map's pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

KINDS = ("clustered", "scattered")
CELL = 8  # pixels: about the size of a cluster


def mask(kind: str, share: float, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """bool [N, H, W] with ``round(share * pixels)`` pixels set.

    ``clustered`` selects the highest values of smooth noise, similar to a cascade's hard pixels
    along boundaries; ``scattered`` selects random pixels, the worst case for the gather.
    """
    generator = torch.Generator().manual_seed(seed)
    n, h, w = shape
    if kind == "clustered":
        coarse = torch.rand(n, 1, -(-h // CELL) + 1, -(-w // CELL) + 1, generator=generator)
        value = functional.interpolate(coarse, scale_factor=CELL, mode="bilinear")[:, 0, :h, :w]
    elif kind == "scattered":
        value = torch.rand(shape, generator=generator)
    else:
        raise ValueError(f"kind {kind!r}: expected one of {', '.join(KINDS)}")
    chosen = np.zeros(n * h * w, bool)
    order = value.reshape(-1).argsort(descending=True).numpy()
    chosen[order[: round(share * chosen.size)]] = True
    return chosen.reshape(shape)
