"""What an engine is: a compiled network in one backend, at one size and batch."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError

# Input and output names of a compiled model.
IMAGE, RHO = "image", "rho"
LABELS, STAGES, CONFIDENCE = "labels", "stages", "confidence"


@dataclass(frozen=True)
class EngineOutput:
    """One pass. The arrays are the caller's to keep.

    Attributes:
        labels: uint8 [N, H, W], at the engine's size.
        stages: uint8 [N, h, w], 1 to 3, the stage a pixel left at; None for a dense network.
        confidence: float32 [N, h, w], the winning probability; h = ceil(H / 8), w likewise.
    """

    labels: npt.NDArray[np.uint8]
    stages: npt.NDArray[np.uint8] | None
    confidence: npt.NDArray[np.float32]


class Engine(ABC):
    """A compiled network. Threads may share one: passes take turns.

    Attributes:
        backend: its name.
        kind: ``cascade`` or ``dense``.
        size: (H, W) of the images it takes.
        batch: images a pass.
    """

    backend: str

    def __init__(self, origin: str, inputs: Mapping[str, Sequence[Any]], outputs: set[str]) -> None:
        """``inputs`` maps names to shapes (not an integer where not fixed)."""
        missing = {IMAGE} - set(inputs) or {LABELS, CONFIDENCE} - outputs
        if not missing and (RHO in inputs) != (STAGES in outputs):
            missing = {RHO if STAGES in outputs else STAGES}
        if missing:
            raise LcTrtError(
                f"{origin}: has no {sorted(missing)[0]!r}, so it is no compiled segmentation "
                "network; build one: lc-trt build MODEL.onnx"
            )
        shape = tuple(inputs[IMAGE])
        if len(shape) != 4 or not all(isinstance(d, int) for d in shape) or shape[3] != 3:
            raise LcTrtError(
                f"{origin}: image is {list(shape)}, expected fixed [N, H, W, 3]; "
                "compile it first: lc-trt build MODEL.onnx"
            )
        self.batch: int = shape[0]
        self.size: tuple[int, int] = shape[1:3]
        self.kind = "cascade" if STAGES in outputs else "dense"
        self._lock = threading.Lock()
        self._closed = False

    def run(
        self, image: npt.NDArray[np.uint8], rho: npt.NDArray[np.float32] | None = None
    ) -> EngineOutput:
        """One pass.

        Args:
            image: uint8 [batch, H, W, 3], BGR, contiguous.
            rho: float32 [2], a threshold a boundary; a cascade needs it, a dense network
                takes none.

        Raises:
            ValueError: an array of another shape or type.
            LcTrtError: the engine was closed.
        """
        expected = (self.batch, *self.size, 3)
        if image.shape != expected or image.dtype != np.uint8:
            raise ValueError(f"image {image.dtype} {image.shape}, expected uint8 {expected}")
        feed: dict[str, npt.NDArray[Any]] = {IMAGE: np.ascontiguousarray(image)}
        if (rho is not None) != (self.kind == "cascade"):
            raise ValueError(f"rho {rho}: a cascade needs it, a dense network takes none")
        if rho is not None:
            if rho.shape != (2,) or rho.dtype != np.float32:
                raise ValueError(f"rho {rho.dtype} {rho.shape}, expected float32 (2,)")
            feed[RHO] = rho
        with self._lock:
            if self._closed:
                raise LcTrtError("the engine was closed; load the bundle again")
            found = self._infer(feed)
        return EngineOutput(found[LABELS], found.get(STAGES), found[CONFIDENCE])

    def close(self) -> None:
        """Free the engine's memory; no pass may follow."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._release()

    @abstractmethod
    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        """Outputs by name, in arrays that the next pass does not touch."""

    @abstractmethod
    def _release(self) -> None:
        """Drop what holds memory."""


def describe(model: Path | bytes) -> str:
    """How messages call a model."""
    return str(model) if isinstance(model, Path) else "model"


def unreadable(model: Path | bytes, backend: str, error: Exception) -> LcTrtError:
    """The error for a model that a backend refuses, with the backend's reason on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return LcTrtError(
        f"{describe(model)}: {backend} cannot read it ({reason}); "
        f"build it for that backend: lc-trt build MODEL.onnx --backend {backend}"
    )
