"""An engine with given confidences and costs, which computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.runtime.engines.base import HostEngine

CELL = 8


class FakeClock:
    """A clock that moves only when a fake engine runs."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeEngine(HostEngine):
    """Stage confidences by frame, and milliseconds by stage.

    A frame's number is its first pixel's blue value (`numbered_frames`).

    Args:
        levels: float32 [3, N, h, w] per frame, the confidence at each stage; None is a dense
            engine.
        cost: milliseconds before the network, then of each stage when all pixels reach it.

    Attributes:
        passes: number of the frame and thresholds of each pass.
    """

    backend = "fake"

    def __init__(
        self,
        levels: Sequence[npt.NDArray[np.float32]] | None,
        cost: tuple[float, float, float, float] = (1, 10, 20, 40),
        clock: FakeClock | None = None,
        shape: tuple[int, int, int] = (1, 16, 24),
    ) -> None:
        inputs: dict[str, Any] = {"image": [*shape, 3]}
        outputs = {"labels", "confidence"}
        if levels is not None:
            inputs["rho"] = [2]
            outputs.add("stages")
        super().__init__("fake", inputs, outputs)
        self.levels, self.cost, self.clock = levels, cost, clock or FakeClock()
        self.passes: list[tuple[int, tuple[float, ...] | None]] = []

    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        image, rho = feed["image"], feed.get("rho")
        number = int(image[0, 0, 0, 0])
        self.passes.append((number, None if rho is None else tuple(rho.tolist())))
        out: dict[str, Any] = {"labels": np.zeros(image.shape[:3], np.uint8)}
        if rho is None or self.levels is None:
            cells = [-(-side // CELL) for side in image.shape[1:3]]
            out["confidence"] = np.ones((len(image), *cells), np.float32)
            self.clock.now += sum(self.cost) / 1e3
            return out
        one, two, three = self.levels[number]
        hard = ~(one > rho[0])
        harder = hard & ~(two > rho[1])
        out["stages"] = (1 + hard + harder).astype(np.uint8)
        out["confidence"] = np.where(harder, three, np.where(hard, two, one))
        start, *stages = self.cost
        reached = (1.0, hard.mean(), harder.mean())
        passed = start + sum(c * r for c, r in zip(stages, reached, strict=True))
        self.clock.now += float(passed) / 1e3
        return out

    def _release(self) -> None:
        pass


def numbered_frames(
    count: int, shape: tuple[int, int, int] = (1, 16, 24)
) -> list[npt.NDArray[np.uint8]]:
    """Frames that carry their number."""
    return [np.full((*shape, 3), i, np.uint8) for i in range(count)]


def random_levels(
    count: int, shape: tuple[int, int, int] = (1, 2, 3), seed: int = 0
) -> list[npt.NDArray[np.float32]]:
    """Confidences in which no two values are equal."""
    rng = np.random.default_rng(seed)
    size = 3 * int(np.prod(shape))
    return [
        (rng.permutation(size).astype(np.float32) / size).reshape(3, *shape) for _ in range(count)
    ]
