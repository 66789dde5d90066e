"""Random changes of an image's light, which leave its labels alone."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def jitter_colour(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Randomly change the brightness, contrast, saturation and white balance of an image.

    Args:
        image: uint8 [h, w, 3] BGR.
        strength: brightness, contrast and saturation are scaled by factors drawn from
            [1 - strength, 1 + strength], each channel's gain by a quarter of that range. 0 returns
            the image unchanged.
        rng: source of randomness.

    Returns:
        uint8 [h, w, 3], contiguous.
    """
    if strength == 0:
        return np.ascontiguousarray(image)
    gains = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    brightness, contrast, saturation = gains
    balance = rng.uniform(1 - strength / 4, 1 + strength / 4, 3).astype(np.float32)
    x = image.astype(np.float32) * (brightness * balance)
    grey = x.mean(2, keepdims=True)
    x = grey + saturation * (x - grey)
    x = grey.mean() + contrast * (x - grey.mean())
    return np.asarray(np.clip(x, 0, 255), np.uint8)


def apply_gamma(image: Image, gamma: float) -> Image:
    """Raise the brightness, as a share of 255, to a power.

    Args:
        image: uint8 [h, w, 3].
        gamma: exponent; 1 changes nothing.

    Returns:
        uint8 [h, w, 3].
    """
    curve = 255.0 * (np.arange(256) / 255.0) ** gamma
    return np.asarray(cv2.LUT(image, np.rint(curve).astype(np.uint8)), np.uint8)


def haze(image: Image, rng: np.random.Generator) -> Image:
    """Blend an image with a light grey, more so towards the top, where a street is far away.

    Args:
        image: uint8 [h, w, 3].
        rng: source of randomness.

    Returns:
        uint8 [h, w, 3].
    """
    height = len(image)
    top, bottom = rng.uniform(0.1, 0.6), rng.uniform(0.0, 0.1)
    share = np.linspace(top, bottom, height, dtype=np.float32)[:, None, None]
    light = np.float32(rng.uniform(150, 240))
    return np.asarray(image + share * (light - image), np.uint8)


def shadow(image: Image, rng: np.random.Generator) -> Image:
    """Darken one side of a random line.

    Args:
        image: uint8 [h, w, 3].
        rng: source of randomness.

    Returns:
        uint8 [h, w, 3].
    """
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    distance = np.cos(angle) * x + np.sin(angle) * y - rng.uniform(-0.5, 0.5)
    softness = rng.uniform(0.01, 0.2)
    shaded = np.clip(0.5 + distance / softness, 0, 1)[..., None]
    return np.asarray(image * (1 - rng.uniform(0.2, 0.6) * shaded), np.uint8)


def noise(image: Image, rng: np.random.Generator) -> Image:
    """Add Gaussian noise, as sensors do in the dark.

    Args:
        image: uint8 [h, w, 3].
        rng: source of randomness.

    Returns:
        uint8 [h, w, 3].
    """
    grain = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 12))
    return np.asarray(np.clip(image + grain, 0, 255), np.uint8)
