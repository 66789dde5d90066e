"""The state of a calibration on disk, from which an interrupted one resumes."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lc_trt.quantization.histogram import BINS, Histogram
from lc_trt.utils.files import atomic_file


@dataclass
class Checkpoint:
    """The state of a calibration after ``done`` files.

    Attributes:
        key: identifies model, images, size and thresholds.
        done: number of files processed.
        skipped: names of the unreadable ones among them.
        histograms: one per tensor.
    """

    key: str
    done: int = 0
    skipped: list[str] = field(default_factory=list)
    histograms: dict[str, Histogram] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically.

    Args:
        path: the file.
        checkpoint: the state.

    Raises:
        LcTrtError: the file cannot be written.
    """
    histograms = checkpoint.histograms.values()
    header = {
        "key": checkpoint.key,
        "done": checkpoint.done,
        "skipped": checkpoint.skipped,
        "names": list(checkpoint.histograms),
        "scalars": [[h.limit, h.low, h.high, h.total, h.zeros] for h in histograms],
    }
    counts = np.zeros((len(histograms), BINS), np.int64)
    for row, histogram in zip(counts, histograms, strict=True):
        row[:] = histogram.counts
    # A file object: NumPy would append a suffix to a path.
    with atomic_file(path, "choose another -o") as partial, partial.open("wb") as file:
        np.savez_compressed(
            file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), counts=counts
        )


def load_checkpoint(path: Path, key: str) -> Checkpoint:
    """Read the checkpoint of the same calibration.

    Args:
        path: the file.
        key: as of `Checkpoint`.

    Returns:
        An empty one where the file is missing, damaged or of another calibration.
    """
    try:
        # NumPy does not close a damaged file that it opened itself.
        with path.open("rb") as file, np.load(file) as archive:
            header = json.loads(archive["header"].tobytes())
            counts = archive["counts"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return Checkpoint(key)
    if header.get("key") != key or counts.shape != (len(header["names"]), BINS):
        return Checkpoint(key)
    histograms = {
        name: Histogram(row, *scalars)
        for name, row, scalars in zip(header["names"], counts, header["scalars"], strict=True)
    }
    return Checkpoint(key, header["done"], header["skipped"], histograms)
