import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import tiny_config

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.metrics import Confusion
from lc_trt.model.layers import BatchNorm
from lc_trt.training.checkpoint import load_state, load_weights
from lc_trt.training.trainer import REFUSED_IN_A_ROW, Trainer


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


@pytest.fixture(scope="module")
def whole(tree, tmp_path_factory):
    """A run of six steps in one go, three a phase."""
    return run(tiny_config(tree), tmp_path_factory.mktemp("whole"))


def test_a_run_leaves_weights_and_state(whole):
    assert whole.step == whole.steps == 6
    assert load_state(whole.state_path)["step"] == 6
    state, metadata = load_weights(whole.best_path)
    assert metadata["preset"] == "tiny"
    assert metadata["heads"] == "plain"
    assert metadata["classes"] == "3"
    assert metadata["step"] == 6
    assert metadata["val_miou"] == whole.best["cascade"]
    assert sum(metadata["val_shares"]) == pytest.approx(1)
    assert_same(state, weights_of(whole))
    assert sorted(p.name for p in whole.out.iterdir()) == ["best.safetensors", "last.pt"]


@pytest.mark.parametrize("stop_at", [1, 3, 4], ids=["deep", "boundary", "cascade"])
def test_a_resumed_run_equals_one_in_one_go(whole, tree, tmp_path, stop_at):
    first = run(whole.config, tmp_path, stop_at)
    assert first.step == stop_at
    torch.rand(7)  # a new process has another random state
    second = run(whole.config, tmp_path)
    assert second.step == 6
    assert_same(weights_of(second), weights_of(whole))
    assert second.best == whole.best


def test_a_finished_run_stays_as_it_is(whole):
    again = run(whole.config, whole.out)
    assert again.step == 6
    assert_same(weights_of(again), weights_of(whole))


def test_a_killed_run_goes_on(whole, tree, tmp_path, repository):
    script = f"""
import torch
from tiny_training import TINY, tiny_config
from lc_trt.model.presets import PRESETS
from lc_trt.training.trainer import Trainer
from pathlib import Path
torch.set_num_threads(1)
PRESETS["tiny"] = TINY
config = tiny_config({str(tree)!r}, checkpoint_seconds=0.0)
def report(progress):
    if progress.step > 2:  # the state of step 2 is on disk
        print("killable", flush=True)
        input()
Trainer(config, Path({str(tmp_path)!r}), report).run()
"""
    path = os.pathsep.join([str(repository), str(Path(__file__).parents[1])])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout.readline() == b"killable\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    config = tiny_config(tree, checkpoint_seconds=0.0)
    trainer = Trainer(config, tmp_path)
    assert trainer.step == 2
    trainer.run()
    assert_same(weights_of(trainer), weights_of(whole))


def test_fresh_starts_over(whole, tree, tmp_path):
    run(tiny_config(tree, seed=5), tmp_path, 2)
    with pytest.raises(LcTrtError, match=r"last\.pt: was trained with seed 5, not 0;.*--fresh"):
        Trainer(whole.config, tmp_path)
    trainer = Trainer(whole.config, tmp_path, fresh=True)
    assert trainer.step == 0
    assert list(tmp_path.iterdir()) == []


def test_a_run_starts_from_the_weights_of_another(whole, tree, tmp_path):
    trainer = Trainer(tiny_config(tree, init=str(whole.best_path), seed=5), tmp_path)
    assert trainer.step == 0
    assert_same(weights_of(trainer), load_weights(whole.best_path)[0])
    with pytest.raises(LcTrtError, match="no such file"):
        Trainer(tiny_config(tree, init=str(tmp_path / "none.safetensors")), tmp_path)


def test_a_changed_crop_is_one_clear_error(whole):
    config = tiny_config(whole.config.data, crop=(32, 64))
    with pytest.raises(LcTrtError, match=r"crop \[64, 64\], not \[32, 64\]"):
        Trainer(config, whole.out)


def test_it_learns(tree, tmp_path):
    reports = []
    config = tiny_config(tree, deep_epochs=8, cascade_epochs=4)
    run(config, tmp_path, report=reports.append)
    assert [r.step for r in reports] == list(range(1, 37))
    deep = [r.losses for r in reports if r.phase == "deep"]
    assert len(deep) == 24
    for stage in range(3):
        losses = [step[stage] for step in deep]
        assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    assert all(r.shares is None for r in reports[:24])
    assert all(sum(r.shares) == pytest.approx(1) for r in reports[24:])
    assert any(r.shares[0] > 0 for r in reports[24:])
    assert all(math.isfinite(loss) for r in reports for loss in r.losses)


def test_the_rate_warms_up_and_decays_in_each_phase(tree, tmp_path):
    trainer = Trainer(tiny_config(tree, deep_epochs=10, cascade_epochs=5, warmup_steps=4), tmp_path)
    rates = []
    for step in range(trainer.steps):
        trainer.step = step
        rates.append(trainer.rate())
    for phase, peak in ((rates[:30], 1e-2), (rates[30:], 1e-3)):
        assert phase[0] == pytest.approx(peak / 4)
        assert peak * 0.75 < max(phase) <= peak
        top = phase.index(max(phase))
        assert phase[: top + 1] == sorted(phase[: top + 1])
        assert phase[top:] == sorted(phase[top:], reverse=True)
        assert 0 < phase[-1] < peak / 4


def poison(trainer, steps):
    """Make the input of these steps NaN."""
    clean = trainer.to_input

    def to_input(image):
        x = clean(image)
        return x * math.nan if trainer.step in steps else x

    trainer.to_input = to_input


@pytest.mark.parametrize("step", [1, 4], ids=["deep", "cascade"])
def test_a_step_that_is_not_finite_changes_nothing(tree, tmp_path, step):
    trainer = Trainer(tiny_config(tree), tmp_path)
    trainer.run(lambda: trainer.step >= step)
    before = weights_of(trainer)
    poison(trainer, {step})
    trainer.run(lambda: trainer.step > step)
    assert trainer.step == step + 1
    assert trainer.refused == 1
    assert_same(weights_of(trainer), before)  # batch norm's statistics too
    trainer.run()
    assert trainer.refused == 1
    assert load_state(trainer.state_path)["refused"] == 1
    assert all(torch.isfinite(value).all() for value in weights_of(trainer).values())


def test_a_diverged_run_stops(tree, tmp_path):
    trainer = Trainer(tiny_config(tree, deep_epochs=9), tmp_path)
    poison(trainer, set(range(2, 40)))
    with pytest.raises(LcTrtError, match=r"step 21: 20 steps in a row were not finite.*--rate"):
        trainer.run()
    assert trainer.refused == REFUSED_IN_A_ROW


def test_refused_steps_apart_do_not_stop_a_run(tree, tmp_path):
    trainer = Trainer(tiny_config(tree, deep_epochs=16), tmp_path)
    poison(trainer, set(range(0, 48, 2)))
    trainer.run()
    assert trainer.refused == 24
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


def test_fine_tuning_starts_with_new_moments(tree, tmp_path):
    trainer = run(tiny_config(tree), tmp_path, 5)
    steps = {int(state["step"]) for state in trainer.optimizer.state.values()}
    assert steps == {2}


def test_stage_3_is_also_trained_where_all_pixels_leave(tree, tmp_path):
    """The loss on all pixels keeps the later stages alive, whoever survives."""
    trainer = Trainer(tiny_config(tree, deep_epochs=0, exit_rho=(-1.0, -1.0)), tmp_path)
    trainer.model.train()
    total, parts, shares = trainer.losses(*trainer.batches[0])
    assert shares == [1, 0, 0]
    assert [float(p.detach()) for p in parts[1:]] == [0, 0]
    total.backward()
    for stage in (1, 2):
        grads = [p.grad.abs().max() for p in trainer.model.stages[stage].parameters()]
        assert max(grads) > 0


def test_the_best_weights_of_the_phase_are_kept(tree, tmp_path, monkeypatch):
    trainer = Trainer(tiny_config(tree), tmp_path)
    figures = iter([0.5, 0.3, 0.6, 0.2, 0.1])
    monkeypatch.setattr(Confusion, "miou", lambda self: next(figures))
    kept = []
    for step in (1, 2, 3, 4, 5):
        trainer.step = step
        trainer.validate()
        metadata = load_weights(trainer.best_path)[1]
        kept.append((metadata["step"], metadata["val_miou"]))
    # Fine-tuned weights replace the others at once, then only better ones do.
    assert kept == [(1, 0.5), (1, 0.5), (3, 0.6), (4, 0.2), (4, 0.2)]
    assert trainer.best == {"deep": 0.6, "cascade": 0.2}


def test_one_phase_alone(tree, tmp_path):
    deep = run(tiny_config(tree, cascade_epochs=0), tmp_path / "deep")
    assert list(deep.best) == ["deep"]
    cascade = run(tiny_config(tree, deep_epochs=0), tmp_path / "cascade")
    assert list(cascade.best) == ["cascade"]


def test_errors_come_before_training(tree, tmp_path):
    with pytest.raises(UsageError, match="unknown preset"):
        Trainer(tiny_config(tree, preset="nothing"), tmp_path / "run")
    with pytest.raises(UsageError, match="'vgg16' has no cascade form"):
        Trainer(tiny_config(tree, preset="vgg16"), tmp_path / "run")
    with pytest.raises(LcTrtError, match="no such folder"):
        Trainer(tiny_config(tree / "train"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").write_text("here")
    with pytest.raises(LcTrtError, match=r"file: cannot be a folder"):
        run(tiny_config(tree), tmp_path / "file")
