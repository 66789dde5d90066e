"""tools/mix_weights.py interpolates the weights of two runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_networks import tiny_cascade

from lc_trt.training.checkpoint import load_weights, save_tensors, save_weights


def mix(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    tool = repository / "tools" / "mix_weights.py"
    return subprocess.run(
        [sys.executable, str(tool), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    for seed, path in enumerate(paths):
        save_weights(
            path, tiny_cascade(seed=seed), {"preset": "tiny", "step": seed, "val_miou": 0.5}
        )
    return paths


def test_weights_are_interpolated(repository, runs, tmp_path):
    out = tmp_path / "out.safetensors"
    done = mix(repository, *runs, out, "--part", 0.75)
    assert done.returncode == 0, done.stderr
    (before, _), (after, facts), (found, kept) = map(load_weights, (*runs, out))
    assert facts["val_miou"] == 0.5  # of AFTER, and of it alone
    assert kept == {"preset": "tiny", "mixed": 0.75} and found.keys() == after.keys()
    for name, value in found.items():
        expected = after[name]
        if expected.is_floating_point():
            expected = torch.lerp(before[name].double(), after[name].double(), 0.75).float()
        torch.testing.assert_close(value, expected)


def test_runs_of_two_networks_are_refused(repository, runs, tmp_path):
    tensors, facts = load_weights(runs[1])
    name = next(iter(tensors))
    save_tensors(runs[1], {**tensors, name: tensors[name][..., :1].clone()}, facts)
    done = mix(repository, *runs, tmp_path / "out")
    assert done.returncode == 1 and f"{name!r} differs from" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_share_beyond_0_to_1_is_refused(repository, runs, tmp_path):
    done = mix(repository, *runs, tmp_path / "out", "--part", 1.5)
    assert done.returncode == 2 and "--part 1.5: expected a number from 0 to 1" in done.stderr
