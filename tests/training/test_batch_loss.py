"""The loss of a batch, as a configuration says."""

import pytest
import torch
from tiny_training import tiny_config
from training_runs import run, weights_of

from lc_trt.training.batches import class_weights, count_pixels
from lc_trt.training.objective import objective
from lc_trt.training.trainer import Trainer


def test_half_precision_trains(tree, tmp_path):
    trainer = run(tiny_config(tree, precision="bf16", cascade={"epochs": 2}), tmp_path)
    assert trainer.step == 9 and trainer.skipped == 0
    assert all(value.dtype == torch.float32 for value in weights_of(trainer).values())


@pytest.mark.parametrize(("step", "weighted"), [(0, True), (3, False)], ids=["deep", "cascade"])
def test_each_phase_has_its_own_class_weights(tree, tmp_path, step, weighted):
    trainer = Trainer(tiny_config(tree, cascade={"class_weights": "none"}), tmp_path)
    trainer.step = step
    image, label = trainer.batches[step]
    weights = torch.from_numpy(class_weights(count_pixels(trainer.train_set))) if weighted else None
    x, y = trainer.loss.to_input(image), torch.from_numpy(label)
    trainer.model.eval()  # without dropout
    expected = objective(trainer.model, x, y, trainer.phase, weights)
    assert trainer.loss(trainer.model, image, label, trainer.phase).total == expected.total
    assert trainer.phase.loss == ("deep" if weighted else "cascade")
