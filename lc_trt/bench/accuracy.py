"""Measured accuracies by network, from the results of ``lc-trt eval --json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lc_trt.bundle.pareto_front import Pair
from lc_trt.errors import LcTrtError, UsageError

PATTERN = "eval-*.json"
# The results of this checkout; an installed package has none.
RESULTS = Path(__file__).parents[2] / "benchmarks"
_DIGITS = 4  # of thresholds that count as equal


@dataclass(frozen=True)
class Accuracy:
    """A measured accuracy.

    Attributes:
        miou: mean IoU, 0 to 1.
        data: name and split of the data set.
        size: (height, width) in pixels of the network's input.
        file: name of the result's file.
        training: epochs and pre-training in words; empty where the result does not say.
    """

    miou: float
    data: str
    size: tuple[int, int]
    file: str
    training: str = ""

    @property
    def protocol(self) -> str:
        """Data, size and training in one line."""
        size = f"{self.size[0]}x{self.size[1]}"
        return ", ".join(filter(None, (self.data, size, self.training)))

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "miou": self.miou, "data": self.data, "size": list(self.size), "file": self.file,
            "training": self.training,
        }  # fmt: skip


class Accuracies:
    """Accuracies by network and thresholds.

    Args:
        folder: with files ``eval-*.json``; None for `RESULTS`, if they are there.

    Raises:
        UsageError: ``folder`` is no folder.
        LcTrtError: a file is no result of ``lc-trt eval``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise UsageError(f"--accuracy {folder}: no such folder; expected one with {PATTERN}")
        self._found: dict[tuple[str, Pair | None], list[Accuracy]] = {}
        for path in sorted((folder or RESULTS).glob(PATTERN)):
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            result = json.loads(path.read_text())
            name, data, size = result["model"], result["data"], tuple(result["size"])
            points = [result, *(result["sweep"] or ())]
            training = _training(result.get("training"))
            measured = {_key(name, point["rho"]): float(point["miou"]) for point in points}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LcTrtError(
                f"{path}: no result of 'lc-trt eval --json' ({type(error).__name__}: {error}); "
                "remove it or evaluate again"
            ) from error
        for key, miou in measured.items():
            self._found.setdefault(key, []).append(Accuracy(miou, data, size, path.name, training))

    def find(self, name: str, rho: Pair | None) -> Accuracy | None:
        """The accuracy of a network at thresholds.

        Args:
            name: of the network.
            rho: one threshold per boundary; None for a dense network.

        Returns:
            None if no file has it, or several do: two networks may have one name.
        """
        found = self._found.get(_key(name, rho), [])
        return found[0] if len(found) == 1 else None


def _training(facts: dict[str, Any] | None) -> str:
    """What tools/train_peers.py adds to a result, in words."""
    if facts is None:
        return ""
    before = facts["pretraining"]
    start = "from random weights" if before is None else f"pre-trained: {before}"
    return f"{facts['epochs']} epochs {start}"


def _key(name: str, rho: Any) -> tuple[str, Pair | None]:
    if rho is None:
        return name, None
    first, second = rho
    return name, (round(float(first), _DIGITS), round(float(second), _DIGITS))
