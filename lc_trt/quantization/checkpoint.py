"""What a calibration has seen so far, on disk, so that a stopped one goes on where it was."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lc_trt.quantization.histogram import BINS, Histogram
from lc_trt.utils.files import atomic_file


@dataclass
class Seen:
    """Histograms after ``done`` files.

    Attributes:
        key: of model, images, size and thresholds: another calibration's state is not taken.
        skipped: names of files that were broken.
    """

    key: str
    done: int = 0
    skipped: list[str] = field(default_factory=list)
    histograms: dict[str, Histogram] = field(default_factory=dict)


def save_seen(path: Path, seen: Seen) -> None:
    """Write the state, whole or not at all."""
    found = seen.histograms.values()
    head = {
        "key": seen.key,
        "done": seen.done,
        "skipped": seen.skipped,
        "names": list(seen.histograms),
        "scalars": [[h.limit, h.low, h.high, h.total, h.zeros] for h in found],
    }
    # A file, not its name, to which NumPy would add a suffix.
    with atomic_file(path, "choose another -o") as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            head=np.frombuffer(json.dumps(head).encode(), np.uint8),
            counts=np.stack([h.counts for h in found]) if head["names"] else np.zeros((0, BINS)),
        )


def load_seen(path: Path, key: str) -> Seen:
    """The state of the same calibration; an empty one where there is none."""
    try:
        with np.load(path) as stored:
            head = json.loads(stored["head"].tobytes())
            counts = stored["counts"].astype(np.int64)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return Seen(key)
    if head.get("key") != key or counts.shape != (len(head["names"]), BINS):
        return Seen(key)
    histograms = {
        name: Histogram(row, *scalars)
        for name, row, scalars in zip(head["names"], counts, head["scalars"], strict=True)
    }
    return Seen(key, head["done"], head["skipped"], histograms)
