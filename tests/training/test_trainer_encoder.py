"""Training of cascades on an encoder: frozen trunks, stochastic depth, temperatures."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard_events import scalars
from tiny_encoder_training import encoder_config, encoder_networks
from torch import Tensor

from lc_trt.errors import LcTrtError
from lc_trt.model.cascade import StagedNetwork
from lc_trt.training.checkpoint import load_weights
from lc_trt.training.config import TrainConfig
from lc_trt.training.trainer import Trainer

__all__ = ["encoder_networks"]

pytestmark = pytest.mark.usefixtures("encoder_networks")


def run(config: TrainConfig, out: Path, stop_at: float = math.inf, **options: Any) -> Trainer:
    trainer = Trainer(config, out, **options)
    trainer.run(lambda: trainer.step >= stop_at)
    return trainer


def copies(model: StagedNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def first_stage_logits(trainer: Trainer, model: StagedNetwork) -> Tensor:
    image = trainer.val_set[0].image
    with torch.inference_mode():
        return model.eval().deep(trainer.loss.to_input(image[None]))[0]


@pytest.fixture(scope="module")
def whole(encoder_networks: None, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """An uninterrupted run of six steps, three per phase."""
    return run(encoder_config(tree), tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stop_at", [1, 3, 4], ids=["joint", "boundary", "later"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    whole: Trainer, tree: Path, tmp_path: Path, stop_at: int
) -> None:
    """Stochastic depth is drawn by the step, and stage 1 is frozen after a resumption too."""
    assert run(encoder_config(tree), tmp_path / "parts", stop_at).step == stop_at
    torch.rand(7)  # a new process has another random state
    parts = run(encoder_config(tree), tmp_path / "parts")
    assert parts.step == whole.step == 6
    for ours, other in ((parts.model, whole.model), (parts.updates.average, whole.updates.average)):
        for (name, a), b in zip(
            ours.state_dict().items(), other.state_dict().values(), strict=True
        ):
            assert torch.equal(a, b), name
    assert parts.best == whole.best


def test_validations_report_the_cascade_and_every_stage(whole: Trainer) -> None:
    logged = scalars(whole.out)
    for step, name in ((3, "deep"), (6, "later")):
        assert logged[step, "val/miou"] == pytest.approx(whole.best[name])
        stages = [logged[step, f"val/miou_stage{stage}"] for stage in (1, 2, 3)]
        assert all(0 < miou <= 1 for miou in stages)
        assert sum(logged[step, f"val_left/stage{stage}"] for stage in (1, 2, 3)) == pytest.approx(
            1
        )
    assert len(load_weights(whole.best_path)[1]["val_stage_miou"]) == 3


def test_stochastic_depth_skips_blocks(tree: Path, tmp_path: Path) -> None:
    trainer = Trainer(encoder_config(tree), tmp_path)
    batch = trainer.batches[0]
    trainer.model.train()
    totals = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        totals.append(float(trainer.loss(trainer.model, *batch, trainer.phase).total.detach()))
    assert totals[0] == totals[1] != totals[2]


def test_a_frozen_first_stage_keeps_its_outputs_to_the_bit(tree: Path, tmp_path: Path) -> None:
    trainer = run(encoder_config(tree), tmp_path, 3)
    average = trainer.updates.average.module
    before, logits = copies(average), first_stage_logits(trainer, average)
    trainer.run()
    for model in (trainer.model, trainer.updates.average.module):
        torch.testing.assert_close(first_stage_logits(trainer, model), logits, rtol=0, atol=0)
        changed = {
            name.split(".")[0]
            for name, value in model.state_dict().items()
            if not torch.equal(value, before[name])
        }
        assert {"stage2", "head2", "stage3", "head3"} <= changed
        assert not changed & {"encoder", "pyramid", "head1"}


def test_a_frozen_first_stage_needs_no_gradients(tree: Path, tmp_path: Path) -> None:
    trainer = run(encoder_config(tree), tmp_path, 4)
    frozen = {name for name, p in trainer.model.named_parameters() if not p.requires_grad}
    assert frozen and all(n.startswith(("encoder", "pyramid", "head1")) for n in frozen)
    assert all(p.grad is None for p in trainer.model.encoder.parameters())


def test_the_phase_after_a_frozen_one_trains_everything_but_the_frozen_strides(
    tree: Path, tmp_path: Path
) -> None:
    later = {"loss": "deep", "name": "later", "freeze_first_stage": True}
    config = encoder_config(
        tree, deep=later, cascade={"loss": "deep", "freeze_batch_norm": False},
        encoder={"name": "tiny", "weights": "none", "frozen": 8},
    )  # fmt: skip
    trainer = run(config, tmp_path, 3)
    before = copies(trainer.updates.average.module)
    trainer.run(lambda: trainer.step >= 5)
    trainer = run(config, tmp_path)
    moved = {
        name
        for name, value in trainer.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert any(name.startswith("pyramid") for name in moved)
    assert any(name.startswith("encoder.stages.3") for name in moved)
    for number in (0, 1, 2):
        assert not any(name.startswith(f"encoder.stages.{number}.") for name in moved)


def test_the_best_weights_get_temperatures_at_the_end(tree: Path, tmp_path: Path) -> None:
    fits, validations = [], []
    options: dict[str, Any] = {
        "on_calibration": fits.append,
        "on_validation": lambda phase, validation: validations.append((phase, validation)),
    }
    trainer = run(encoder_config(tree), tmp_path, 5, **options)
    assert not fits
    assert "temperatures" not in load_weights(trainer.best_path)[1]
    trainer = run(encoder_config(tree), tmp_path, **options)
    (fit,) = fits
    phase, validation = validations[-1]
    assert phase == "later"
    for name in ("best", "later"):
        state, metadata = load_weights(tmp_path / f"{name}.safetensors")
        assert state["temperatures"].tolist() == pytest.approx(fit.temperatures)
        assert metadata["temperatures"] == list(fit.temperatures)
        assert metadata["val_miou"] == validation.miou
    assert "temperatures" not in load_weights(tmp_path / "deep.safetensors")[1]
    run(encoder_config(tree), tmp_path, **options)
    assert len(fits) == 1, "a finished run is not changed"


def test_a_run_killed_before_calibration_is_calibrated_when_resumed(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Trainer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_calibrate", killed)
        with pytest.raises(KeyboardInterrupt):
            run(encoder_config(tree), tmp_path)
    assert "temperatures" not in load_weights(tmp_path / "best.safetensors")[1]
    run(encoder_config(tree), tmp_path)
    assert "temperatures" in load_weights(tmp_path / "best.safetensors")[1]


def test_the_checkpoint_names_encoder_normalisation_and_source(tree: Path, tmp_path: Path) -> None:
    first = run(encoder_config(tree), tmp_path / "first")
    metadata = load_weights(first.best_path)[1]
    assert metadata["encoder"] == "tiny" and metadata["pretrained"] is None
    assert metadata["normalisation"] == {"mean": [127.0] * 3, "std": [128.0] * 3}

    encoder = {"name": str(first.best_path), "frozen": None}
    second = Trainer(encoder_config(tree, encoder=encoder, seed=3), tmp_path / "second")
    start = load_weights(first.best_path)[0]
    for name, value in second.model.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(value, start[name])
    assert not torch.equal(
        second.model.state_dict()["head1.1.conv.weight"], start["head1.1.conv.weight"]
    )
    (note,) = second.notes
    assert note.startswith("best.safetensors: loaded ")
    second.run(lambda: second.step >= 3)
    assert load_weights(second.best_path)[1]["encoder"] == "tiny"
    resumed = Trainer(encoder_config(tree, encoder=encoder, seed=3), tmp_path / "second")
    resumed.run()
    assert load_weights(second.best_path)[1]["pretrained"] == {
        "source": "best.safetensors", "licence": "",
    }  # fmt: skip

    third = Trainer(encoder_config(tree, init=str(second.best_path)), tmp_path / "third")
    third.run(lambda: third.step >= 3)
    assert load_weights(third.best_path)[1]["pretrained"]["source"] == "best.safetensors"


def test_another_list_of_classes_does_not_resume(tree: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(tree, tmp_path / "data"))
    (data / "classes.txt").write_text("sky\nroad\ncar\n")
    trainer = run(encoder_config(data), tmp_path / "run", 2)
    assert trainer.notes[0] == f"classes of {data / 'classes.txt'}: sky, road, car"
    moved = data.rename(tmp_path / "moved")
    assert Trainer(encoder_config(moved), tmp_path / "run").step == 2
    (moved / "classes.txt").write_text("sky\nroad\nbus\n")
    with pytest.raises(LcTrtError, match=r"was trained with classes\.names .*car"):
        Trainer(encoder_config(moved), tmp_path / "run")


@pytest.mark.slow
def test_every_thread_flushes_denormal_numbers(
    tree: Path, tmp_path: Path, repository: Path
) -> None:
    script = f"""
import torch
from pathlib import Path
from tiny_training import TINY, tiny_config
from lc_trt.model.presets import PRESETS
from lc_trt.training import weight_updates as module
from lc_trt.training.trainer import Trainer
torch.set_num_threads(2)
PRESETS["tiny"] = TINY
average = module.moving_average

def copied_by_several_threads(*arguments):
    torch.ones(1 << 22).clone()  # as the weights of larger networks are
    return average(*arguments)

module.moving_average = copied_by_several_threads

def report(step):
    product = torch.full((1 << 22,), 1e-30) * 1e-10
    print(float((product == 0).float().mean()))

trainer = Trainer(tiny_config(Path({str(tree)!r})), Path({str(tmp_path)!r}), on_step=report)
trainer.run(lambda: trainer.step >= 1)
"""
    path = os.pathsep.join([str(repository), str(repository / "tests" / "helpers")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["1.0"]
