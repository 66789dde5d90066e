"""A whole training in about a minute: shapes on a noisy ground, deep supervision, fine-tuning.

The cascade has to learn them (mIoU 0.9) and to do what it is for: what later stages get is less,
and harder.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lc_trt.evaluation.boundary import near_boundary
from lc_trt.training.checkpoint import load_into
from lc_trt.training.config import TrainConfig
from lc_trt.training.trainer import Trainer

SIZE = (160, 192)
RHO = (0.98, 0.8)
CONFIG = {
    "preset": "tiny",
    "classes": "3",
    "augment": {"crop": list(SIZE), "scale": [0.9, 1.1], "aspect": 1.1, "jitter": 0.1},
    "batch": 4,
    "ema": 0.98,
    "workers": 0,
    "validate_epochs": 100,
    "phases": [
        {"loss": "deep", "epochs": 18, "optimizer": {"rate": 1e-2}, "schedule": {"warmup": 10}},
        {
            "loss": "cascade",
            "epochs": 5,
            "freeze_batch_norm": True,
            "optimizer": {"rate": 2e-3},
            "schedule": {"warmup": 5},
        },
    ],
}


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Discs (1) and squares (2) whose colours overlap with the background's, and their labels."""
    label = np.zeros(SIZE, np.uint8)
    for _ in range(2):
        x, y = int(rng.integers(30, SIZE[1] - 30)), int(rng.integers(30, SIZE[0] - 30))
        r = int(rng.integers(28, 44))
        if rng.random() < 0.5:
            cv2.circle(label, (x, y), r, 1, -1)
        else:
            cv2.rectangle(label, (x - r, y - r), (x + r, y + r), 2, -1)
    colours = np.array([(90, 90, 90), (60, 60, 170), (170, 90, 60)], np.float32)
    image = colours[label] + rng.normal(0, 25, (*SIZE, 3))
    return np.clip(image, 0, 255).astype(np.uint8), label


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for split, count in (("train", 64), ("val", 16)):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            image, label = draw(rng)
            cv2.imwrite(str(root / split / "images" / f"{i:02}.png"), image)
            cv2.imwrite(str(root / split / "labels" / f"{i:02}.png"), label)
    return root


@pytest.mark.slow
def test_a_cascade_learns_shapes_and_later_stages_get_less_and_harder(
    shapes: Path, tmp_path: Path
) -> None:
    config = TrainConfig.model_validate({**CONFIG, "data": {"root": str(shapes)}})
    trainer = Trainer(config, tmp_path)
    trainer.run()
    assert trainer.skipped == 0
    assert trainer.best["deep"] > 0.9
    assert trainer.best["cascade"] > 0.9

    load_into(trainer.model, trainer.best_path)
    trainer.model.eval()
    left, wrong_at_1, close = np.zeros(4), np.zeros(4), np.zeros(4)
    for sample in trainer.val_set:
        with torch.inference_mode():
            output = trainer.model(trainer.loss.to_input(sample.image[None]), RHO)
            first = trainer.model.upsample(output.logits[0], SIZE).argmax(1)[0].numpy()
        stages = output.stages[0, 0].numpy().repeat(8, 0).repeat(8, 1)
        boundary, _ = near_boundary(sample.label)
        for stage in (1, 2, 3):
            here = stages == stage
            left[stage] += here.sum()
            wrong_at_1[stage] += (first != sample.label)[here].sum()
            close[stage] += boundary[here].sum()
    # Most pixels leave at once; the last stage sees few.
    assert left[1] > left[2] + left[3] and left[3] < 0.3 * left.sum()
    assert left[2] > 0 and left[3] > 0
    # What stage 1 would have got wrong, and what lies at boundaries, goes on.
    errors, boundaries = wrong_at_1[1:] / left[1:], close[1:] / left[1:]
    assert 5 * errors[0] < min(errors[1:])
    assert boundaries[0] < boundaries[1] < boundaries[2]
