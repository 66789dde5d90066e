"""Steps, skipped steps, and the changes between phases, in whole runs."""

import pytest
import torch
from tiny_training import tiny_config
from training_runs import assert_same, poison, run, weights_of

from lc_trt.errors import LcTrtError
from lc_trt.model.layers import BatchNorm
from lc_trt.training.checkpoint import load_state
from lc_trt.training.trainer import Trainer
from lc_trt.training.weight_updates import MAX_SKIPPED_IN_A_ROW


@pytest.mark.parametrize("step", [1, 4], ids=["deep", "cascade"])
def test_a_non_finite_step_changes_nothing(tree, tmp_path, step):
    trainer = Trainer(tiny_config(tree), tmp_path)
    trainer.run(lambda: trainer.step >= step)
    before = weights_of(trainer)
    poison(trainer, {step})
    trainer.run(lambda: trainer.step > step)
    assert trainer.step == step + 1
    assert trainer.skipped == 1
    assert_same(weights_of(trainer), before)  # batch norm's statistics too
    trainer.run()
    assert trainer.skipped == 1
    assert load_state(trainer.state_path)["refused"] == 1
    assert all(torch.isfinite(value).all() for value in weights_of(trainer).values())


def test_a_diverged_run_stops(tree, tmp_path):
    trainer = Trainer(tiny_config(tree, deep={"epochs": 9}), tmp_path)
    poison(trainer, set(range(2, 40)))
    message = r"step 21: 20 consecutive steps were not finite; lower optimizer\.rate"
    with pytest.raises(LcTrtError, match=message):
        trainer.run()
    assert trainer.skipped == MAX_SKIPPED_IN_A_ROW


def test_skipped_steps_apart_do_not_stop_a_run(tree, tmp_path):
    trainer = Trainer(tiny_config(tree, deep={"epochs": 16}), tmp_path)
    poison(trainer, set(range(0, 48, 2)))
    trainer.run()
    assert trainer.skipped == 24
    assert trainer.step == trainer.steps


def test_batch_norm_is_frozen_while_fine_tuning(tree, tmp_path):
    trainer = Trainer(tiny_config(tree), tmp_path)

    def statistics():
        norms = [m for m in trainer.model.modules() if isinstance(m, BatchNorm)]
        return torch.cat([m.running_mean.clone() for m in norms])

    start = statistics()
    trainer.run(lambda: trainer.step >= 3)
    deep = statistics()
    assert not torch.equal(start, deep)
    trainer.run()
    assert torch.equal(deep, statistics())


def test_fine_tuning_starts_with_a_new_optimizer(tree, tmp_path):
    trainer = run(tiny_config(tree), tmp_path, 5)
    steps = {int(state["step"]) for state in trainer.updates.optimizer.state.values()}
    assert steps == {2}


def test_a_resumed_average_equals_an_uninterrupted_one(tree, tmp_path):
    config = tiny_config(tree, ema=0.9)
    whole = run(config, tmp_path / "whole")
    run(config, tmp_path / "parts", 2)
    run(config, tmp_path / "parts", 4)
    parts = run(config, tmp_path / "parts")
    assert_same(parts.updates.average.state_dict(), whole.updates.average.state_dict())


def test_a_phase_starts_from_the_average(tree, tmp_path):
    trainer = run(tiny_config(tree, ema=0.9), tmp_path, 3)
    average = {k: v.clone() for k, v in trainer.updates.average.module.state_dict().items()}
    poison(trainer, {3})  # the first step of the phase leaves the weights as they were
    trainer.run(lambda: trainer.step >= 4)
    assert_same(weights_of(trainer), average)
    assert int(trainer.updates.average.n_averaged) == 0


def test_heads_have_their_own_learning_rate(tree, tmp_path):
    """With plain SGD and no momentum, a step is rate x gradient, ten times that in the heads."""
    optimizer = {"name": "sgd", "rate": 0.1, "momentum": 0.0, "weight_decay": 0.0, "clip": 1e9}
    moved = {}
    for factor in (1.0, 10.0):
        config = tiny_config(tree, deep={"optimizer": {**optimizer, "head_rate": factor}})
        trainer = Trainer(config, tmp_path / str(factor))
        before = weights_of(trainer)
        trainer.run(lambda trainer=trainer: trainer.step >= 1)
        after = weights_of(trainer)
        moved[factor] = {key: after[key] - before[key] for key in before}
    for key, slow in moved[1.0].items():
        if "running" not in key:
            expected = slow * 10 if key.startswith("heads") else slow
            torch.testing.assert_close(moved[10.0][key], expected, rtol=1e-3, atol=2e-6)
