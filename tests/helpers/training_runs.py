"""Runs of the trainer, and their weights."""

import math

import torch

from lc_trt.training.trainer import Trainer


def weights_of(trainer):
    return {key: value.clone() for key, value in trainer.model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


def run(config, out, stop_at=math.inf, **options):
    """Train until ``stop_at`` steps are done; returns the trainer."""
    trainer = Trainer(config, out, **options)
    trainer.run(lambda: trainer.step >= stop_at)
    return trainer


def poison(trainer, steps):
    """Make the input of these steps NaN."""
    clean = trainer.loss.to_input

    def to_input(image):
        x = clean(image)
        return x * math.nan if trainer.step in steps else x

    trainer.loss.to_input = to_input
