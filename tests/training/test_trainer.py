import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_training import tiny_config
from training_runs import assert_same, run, weights_of

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.training.checkpoint import load_state, load_weights
from lc_trt.training.trainer import Trainer


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


def test_threads_prepare_the_same_batches(tree, tmp_path, whole):
    trainer = run(tiny_config(tree, workers=2), tmp_path, 2)
    trainer.run()  # goes on in the same process
    assert_same(weights_of(trainer), weights_of(whole))


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
    assert (next(trainer.updates.average.module.stages.parameters()) == 0.25).all()


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
