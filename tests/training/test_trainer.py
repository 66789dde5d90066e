import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_training import tiny_config

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Sample
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.layers import BatchNorm
from lc_trt.training.batches import class_weights, count_pixels
from lc_trt.training.checkpoint import load_state, load_weights
from lc_trt.training.log import Log
from lc_trt.training.objective import objective
from lc_trt.training.trainer import MAX_SKIPPED_IN_A_ROW, Trainer


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
    """An uninterrupted run of six steps, three per phase."""
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
    names = ["best.safetensors", "cascade.safetensors", "deep.safetensors", "last.pt", "log"]
    assert sorted(p.name for p in whole.out.iterdir()) == names
    assert load_weights(whole.out / "deep.safetensors")[1]["phase"] == "deep"
    assert metadata["phase"] == "cascade"


@pytest.mark.parametrize("stop_at", [1, 3, 4], ids=["deep", "boundary", "cascade"])
def test_a_resumed_run_equals_an_uninterrupted_one(whole, tree, tmp_path, stop_at):
    first = run(whole.config, tmp_path, stop_at)
    assert first.step == stop_at
    torch.rand(7)  # a new process has another random state
    second = run(whole.config, tmp_path)
    assert second.step == 6
    assert_same(weights_of(second), weights_of(whole))
    assert second.best == whole.best


def test_a_finished_run_is_not_changed(whole):
    again = run(whole.config, whole.out)
    assert again.step == 6
    assert_same(weights_of(again), weights_of(whole))


@pytest.mark.slow
def test_a_killed_run_resumes(whole, tree, tmp_path, repository):
    script = f"""
import torch
from tiny_training import TINY, tiny_config
from lc_trt.model.presets import PRESETS
from lc_trt.training.log import Log
from lc_trt.training.objective import objective
from lc_trt.training.trainer import Trainer
from pathlib import Path
torch.set_num_threads(1)
PRESETS["tiny"] = TINY
config = tiny_config({str(tree)!r}, checkpoint_seconds=0.0)
def report(progress):
    if progress.step > 2:  # the state of step 2 is on disk
        print("killable", flush=True)
        input()
Trainer(config, Path({str(tmp_path)!r}), on_step=report).run()
"""
    path = os.pathsep.join([str(repository), str(repository / "tests" / "helpers")])
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
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_a_run_starts_from_the_weights_of_another(whole, tree, tmp_path):
    trainer = Trainer(tiny_config(tree, init=str(whole.best_path), seed=5), tmp_path)
    assert trainer.step == 0
    assert_same(weights_of(trainer), load_weights(whole.best_path)[0])
    with pytest.raises(LcTrtError, match="no such file"):
        Trainer(tiny_config(tree, init=str(tmp_path / "none.safetensors")), tmp_path)


def test_changed_options_are_a_one_line_error(whole):
    config = tiny_config(whole.config.data.root, augment__crop=[32, 64])
    with pytest.raises(LcTrtError, match=r"augment.crop \[64, 64\], not \[32, 64\]"):
        Trainer(config, whole.out)
    config = tiny_config(whole.config.data.root, cascade={"loss": "deep", "name": "again"})
    with pytest.raises(LcTrtError, match=r"phases.1.exit.rho \[0.5, 0.5\]|phases.1.(loss|name)"):
        Trainer(config, whole.out)


def test_options_without_influence_on_the_result_may_change(whole, tree):
    config = tiny_config(tree, workers=1, checkpoint_seconds=5.0)
    assert Trainer(config, whole.out).step == 6


def test_the_loss_decreases(tree, tmp_path):
    reports = []
    config = tiny_config(tree, deep={"epochs": 8}, cascade={"epochs": 4})
    run(config, tmp_path, on_step=reports.append)
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
    warm = {"schedule": {"warmup": 4}}
    config = tiny_config(tree, deep={"epochs": 10, **warm}, cascade={"epochs": 5, **warm})
    trainer = Trainer(config, tmp_path)
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
    steps = {int(state["step"]) for state in trainer.optimizer.state.values()}
    assert steps == {2}


def label_as_predicted(trainer, right, wrong):
    """Validate on one image with so many rows labelled as predicted and, of three classes, not."""
    image = trainer.val_set[0].image
    model = trainer.average.module.eval()
    with torch.no_grad():
        logits = model.upsample(model.deep(trainer.to_input(image[None]))[-1], image.shape[:2])
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


def test_runs_of_one_phase(tree, tmp_path):
    deep = run(tiny_config(tree, cascade=None), tmp_path / "deep")
    assert list(deep.best) == ["deep"]
    cascade = run(tiny_config(tree, deep=None), tmp_path / "cascade")
    assert list(cascade.best) == ["cascade"]


def test_errors_come_before_training(tree, tmp_path):
    with pytest.raises(UsageError, match="unknown preset"):
        Trainer(tiny_config(tree, preset="nothing"), tmp_path / "run")
    with pytest.raises(UsageError, match="'vgg16' has no cascade form"):
        Trainer(tiny_config(tree, preset="vgg16"), tmp_path / "run")
    with pytest.raises(LcTrtError, match="no split 'train' there"):
        Trainer(tiny_config(tree / "train"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").write_text("here")
    with pytest.raises(LcTrtError, match=r"file: cannot create the folder"):
        run(tiny_config(tree), tmp_path / "file")


def test_the_average_is_saved_and_validated(tree, tmp_path):
    trainer = run(tiny_config(tree, ema=0.9, cascade=None), tmp_path)
    saved = load_weights(trainer.best_path)[0]
    assert_same(saved, dict(trainer.average.module.state_dict()))
    newest = weights_of(trainer)
    assert any(not torch.equal(saved[key], newest[key]) for key in saved)


def test_a_resumed_average_equals_an_uninterrupted_one(tree, tmp_path):
    config = tiny_config(tree, ema=0.9)
    whole = run(config, tmp_path / "whole")
    run(config, tmp_path / "parts", 2)
    run(config, tmp_path / "parts", 4)
    parts = run(config, tmp_path / "parts")
    assert_same(parts.average.state_dict(), whole.average.state_dict())


def test_a_phase_starts_from_the_average(tree, tmp_path):
    trainer = run(tiny_config(tree, ema=0.9), tmp_path, 3)
    average = {k: v.clone() for k, v in trainer.average.module.state_dict().items()}
    poison(trainer, {3})  # the first step of the phase leaves the weights as they were
    trainer.run(lambda: trainer.step >= 4)
    assert_same(weights_of(trainer), average)
    assert int(trainer.average.n_averaged) == 0


def test_threads_prepare_the_same_batches(tree, tmp_path, whole):
    trainer = run(tiny_config(tree, workers=2), tmp_path, 2)
    trainer.run()  # goes on in the same process
    assert_same(weights_of(trainer), weights_of(whole))


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


def test_half_precision_trains(tree, tmp_path):
    trainer = run(tiny_config(tree, precision="bf16", cascade={"epochs": 2}), tmp_path)
    assert trainer.step == 9 and trainer.skipped == 0
    assert all(value.dtype == torch.float32 for value in weights_of(trainer).values())


def test_phases_can_be_named(tree, tmp_path):
    trainer = run(tiny_config(tree, deep={"name": "dsn"}, cascade=None), tmp_path)
    assert list(trainer.best) == ["dsn"]
    assert (tmp_path / "dsn.safetensors").exists()


def test_imagenet_weights_initialise_model_and_average(tree, tmp_path, monkeypatch):
    sources = []

    def load(model, source):
        sources.append(source)
        with torch.no_grad():
            next(model.stages.parameters()).fill_(0.25)
        return "54 M values"

    monkeypatch.setattr("lc_trt.model.imagenet.load_imagenet", load)
    trainer = Trainer(tiny_config(tree, imagenet="timm.pth"), tmp_path)
    assert sources == ["timm.pth"] and trainer.notes == ("54 M values",)
    # The average, which is what is kept, starts from them too.
    assert (next(trainer.average.module.stages.parameters()) == 0.25).all()


def test_fresh_removes_the_run_and_nothing_else(whole, tree, tmp_path):
    """It keeps foreign files, and the weights that the new run starts from."""
    mine, config = tmp_path / "mine.safetensors", tiny_config(tree)
    run(config, tmp_path)
    mine.write_bytes(whole.best_path.read_bytes())
    again = tiny_config(tree, init=str(tmp_path / "best.safetensors"))
    start = load_weights(tmp_path / "best.safetensors")[0]
    with pytest.raises(LcTrtError, match="no such file"):
        Trainer(tiny_config(tree, init="none.safetensors"), tmp_path, fresh=True)
    assert (tmp_path / "last.pt").exists()
    assert_same(weights_of(Trainer(again, tmp_path, fresh=True)), start)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "mine.safetensors"]


@pytest.mark.parametrize(("step", "weighted"), [(0, True), (3, False)], ids=["deep", "cascade"])
def test_each_phase_has_its_own_class_weights(tree, tmp_path, step, weighted):
    trainer = Trainer(tiny_config(tree, cascade={"class_weights": "none"}), tmp_path)
    trainer.step = step
    image, label = trainer.batches[step]
    weights = torch.from_numpy(class_weights(count_pixels(trainer.train_set))) if weighted else None
    x, y = trainer.to_input(image), torch.from_numpy(label)
    trainer.model.eval()  # without dropout
    expected = objective(trainer.model, x, y, trainer.phase, weights)
    assert trainer.objective(image, label).total == expected.total
    assert trainer.phase.loss == ("deep" if weighted else "cascade")
