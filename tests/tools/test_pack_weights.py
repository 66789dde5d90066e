"""tools/pack_weights.py: half the size, the same network, no folder names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_networks import tiny_cascade

from lc_trt.training.checkpoint import load_into, load_weights, save_weights


def pack(repository: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    tool = repository / "tools" / "pack_weights.py"
    return subprocess.run(
        [sys.executable, str(tool), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=repository,
    )


def test_packed_weights_load_as_the_original(repository: Path, tmp_path: Path) -> None:
    model = tiny_cascade()
    with torch.no_grad():  # large enough for one tensor to be halved
        first = max(model.parameters(), key=torch.numel)
        assert first.numel() >= 1024
    source, out = tmp_path / "best.safetensors", tmp_path / "w.safetensors"
    data = {"root": "my/folder", "layout": "voc"}
    distil = {"teacher": "my/teacher.onnx", "unlabelled": "my/photographs", "part": 0.5}
    config = {"data": data, "distil": distil, "init": "my/file", "batch": 2}
    facts = {"preset": "tiny", "config": config}
    save_weights(source, model, facts)
    done = pack(repository, source, out)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size < 0.8 * source.stat().st_size
    state, found = load_weights(out)
    kept = {"data": {"layout": "voc"}, "distil": {"part": 0.5}, "batch": 2}
    assert found == {"preset": "tiny", "config": kept}
    assert {t.dtype for t in state.values()} == {torch.float16, torch.float32}
    loaded = tiny_cascade(seed=1)
    load_into(loaded, out)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_overflowing_weights_are_a_one_line_error(repository: Path, tmp_path: Path) -> None:
    model = tiny_cascade()
    with torch.no_grad():
        max(model.parameters(), key=torch.numel).fill_(1e9)
    save_weights(tmp_path / "best.safetensors", model, {})
    done = pack(repository, tmp_path / "best.safetensors", tmp_path / "w.safetensors")
    assert done.returncode == 1 and "does not fit FP16" in done.stderr
    assert not (tmp_path / "w.safetensors").exists()
    assert pack(repository, tmp_path / "none", tmp_path / "w").returncode == 1
    assert "usage" in pack(repository).stderr
