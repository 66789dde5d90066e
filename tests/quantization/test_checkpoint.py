"""Checkpoints: round trip, and files that do not belong to the calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lc_trt.errors import LcTrtError
from lc_trt.quantization.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lc_trt.quantization.histogram import Histogram


@pytest.fixture
def checkpoint() -> Checkpoint:
    """Two tensors, one of them without values."""
    histogram = Histogram()
    histogram.add(np.array([0, -0.5, 3, 1e-3, 3], np.float32))
    return Checkpoint("key", 7, ["broken.png"], {"a": histogram, "b/c": Histogram()})


def test_a_checkpoint_survives_a_round_trip(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_checkpoint(path, checkpoint)
    assert list(tmp_path.iterdir()) == [path]
    restored = load_checkpoint(path, "key")
    assert (restored.done, restored.skipped) == (7, ["broken.png"])
    assert list(restored.histograms) == ["a", "b/c"]
    # It goes on as if there had been no interruption.
    more = np.array([100, -7], np.float32)
    for name, expected in checkpoint.histograms.items():
        histogram = restored.histograms[name]
        for each in (histogram, expected):
            each.add(more)
        assert np.array_equal(histogram.counts, expected.counts)
        scalars = [(h.limit, h.low, h.high, h.total, h.zeros) for h in (histogram, expected)]
        assert scalars[0] == scalars[1]


def test_a_checkpoint_without_tensors_survives_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "state", Checkpoint("key", 2))
    assert load_checkpoint(tmp_path / "state", "key") == Checkpoint("key", 2)


def test_missing_damaged_and_foreign_files_start_again(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    assert load_checkpoint(path, "key") == Checkpoint("key")
    save_checkpoint(path, checkpoint)
    assert load_checkpoint(path, "other") == Checkpoint("other")
    content = path.read_bytes()
    for damaged in (b"", b"damaged", content[: len(content) // 2]):
        path.write_bytes(damaged)
        assert load_checkpoint(path, "key") == Checkpoint("key")
    np.savez(path.with_suffix(".npz"), other=np.zeros(1))
    assert load_checkpoint(path.with_suffix(".npz"), "key") == Checkpoint("key")


def test_a_checkpoint_that_cannot_be_written_is_an_error(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(LcTrtError, match="state: cannot be written"):
        save_checkpoint(tmp_path / "none" / "state", checkpoint)
