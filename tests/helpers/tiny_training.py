"""A network and a data set small enough to train in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.presets import Preset
from lc_trt.training.config import TrainConfig

HALF = (127.5, 127.5, 127.5)
TINY = Preset("tiny", irnet_trunk, (1, 1, 1), 0.125, "plain", 8, HALF, HALF)
COLOURS = ((200, 120, 40), (60, 60, 60), (30, 30, 220))  # BGR of classes 0, 1, 2


def make_tree(root: Path, train: int = 6, val: int = 2) -> Path:
    """Three-class street pictures, 64 x 96: sky over road, a car on it."""
    rng = np.random.default_rng(7)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            label = np.zeros((64, 96), np.uint8)
            label[rng.integers(24, 40) :] = 1
            y, x = rng.integers(16, 40), rng.integers(0, 70)
            label[y : y + 20, x : x + 26] = 2
            image = np.array(COLOURS, np.float32)[label] + rng.normal(0, 12, (64, 96, 3))
            image = np.clip(image, 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / split / "images" / f"{i}.png"), image)
            label[:2] = 255
            cv2.imwrite(str(root / split / "labels" / f"{i}.png"), label)
    return root


def tiny_config(data: Path, **changes: Any) -> TrainConfig:
    """Three steps of deep supervision and three of fine-tuning on `make_tree`'s six images.

    ``changes`` are fields by their dotted names with ``__`` for the dots; ``deep`` and
    ``cascade`` replace fields of a phase, which is left out where they are None.
    """
    values: dict[str, Any] = {
        "preset": "tiny",
        "classes": "3",
        "data": {"root": str(data)},
        "augment": {"crop": [64, 64], "scale": [0.9, 1.1], "aspect": 1.2, "jitter": 0.1},
        "batch": 2,
        "workers": 0,
        "ema": 0.0,
    }
    phases = []
    for loss, rate in (("deep", 1e-2), ("cascade", 1e-3)):
        phase = changes.pop(loss, {})
        if phase is not None:
            phases.append(
                {
                    "loss": loss,
                    "epochs": 1,
                    "freeze_batch_norm": loss == "cascade",
                    "exit": {"rho": [0.5, 0.5]},
                    "optimizer": {"rate": rate, "weight_decay": 1e-4},
                    "schedule": {"warmup": 1},
                    **phase,
                }
            )
    for name, value in changes.items():
        place = values
        *parents, last = name.split("__")
        for key in parents:
            place = place[key]
        place[last] = value
    return TrainConfig.model_validate({"phases": phases, **values})
