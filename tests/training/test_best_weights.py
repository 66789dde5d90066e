"""Which weights a run keeps."""

import numpy as np
import torch
from tiny_training import tiny_config
from training_runs import assert_same, run, weights_of

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Sample
from lc_trt.training.checkpoint import load_weights
from lc_trt.training.log import Log
from lc_trt.training.trainer import Trainer


def label_as_predicted(trainer, right, wrong):
    """Validate on one image with so many rows labelled as predicted and, of three classes, not."""
    image = trainer.val_set[0].image
    model = trainer.updates.average.module.eval()
    with torch.no_grad():
        logits = model.upsample(model.deep(trainer.loss.to_input(image[None]))[-1], image.shape[:2])
    predicted = logits.argmax(1)[0].numpy().astype(np.uint8)
    label = np.full(image.shape[:2], IGNORE, np.uint8)
    label[:right] = predicted[:right]
    label[right : right + wrong] = (predicted[right : right + wrong] + 1) % 3
    trainer.val_set = [Sample("0", image, label)]


def test_the_best_weights_of_the_phase_are_saved(tree, tmp_path):
    trainer = Trainer(tiny_config(tree, validate_rho=1.0), tmp_path)
    log = Log(tmp_path, 1)
    saved, mious = [], []
    trainer.on_validation = lambda phase, validation: mious.append(validation.miou)
    for step, phase, wrong in [(1, 0, 8), (2, 0, 16), (3, 0, 4), (4, 1, 32), (5, 1, 40)]:
        trainer.step = step
        label_as_predicted(trainer, 20, wrong)
        trainer.validate(trainer.config.phases[phase], log)
        metadata = load_weights(trainer.best_path)[1]
        saved.append((metadata["step"], metadata["val_miou"]))
    first, worse, better, fine_tuned, last = mious
    assert better > first > worse > fine_tuned > last
    # Fine-tuned weights replace the others at once, then only better ones do.
    assert saved == [(1, first), (1, first), (3, better), (4, fine_tuned), (4, fine_tuned)]
    assert trainer.best == {"deep": better, "cascade": fine_tuned}
    assert load_weights(tmp_path / "deep.safetensors")[1]["val_miou"] == better
    log.close()


def test_the_average_is_saved_and_validated(tree, tmp_path):
    trainer = run(tiny_config(tree, ema=0.9, cascade=None), tmp_path)
    saved = load_weights(trainer.best_path)[0]
    assert_same(saved, dict(trainer.updates.average.module.state_dict()))
    newest = weights_of(trainer)
    assert any(not torch.equal(saved[key], newest[key]) for key in saved)


def test_phases_can_be_named(tree, tmp_path):
    trainer = run(tiny_config(tree, deep={"name": "dsn"}, cascade=None), tmp_path)
    assert list(trainer.best) == ["dsn"]
    assert (tmp_path / "dsn.safetensors").exists()
