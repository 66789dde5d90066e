"""The interface of an engine: a compiled network in one backend, at one size and batch."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import (
    CONFIDENCE,
    IMAGE,
    LABELS,
    LIMITS,
    PAST,
    PRESENT,
    RHO,
    STAGES,
    WORK,
)
from lc_trt.utils.devices import CPU
from lc_trt.utils.machine import Gpu


@dataclass(frozen=True)
class EngineOutput:
    """Results of one pass. The caller owns the arrays.

    Attributes:
        labels: uint8 [N, H, W], at the engine's size.
        stages: uint8 [N, h, w], the stage that each pixel left at, 1 to 3; None for a dense
            network.
        confidence: float32 [N, h, w], the score by which a pixel exited, the largest probability
            where it did not; h = ceil(H / s), w likewise, s the stride of the network's last stage.
        work: uint8 [N, h, w], values of `lc_trt.ir.interface.PixelWork`; None without temporal
            reuse.
    """

    labels: npt.NDArray[np.uint8]
    stages: npt.NDArray[np.uint8] | None
    confidence: npt.NDArray[np.float32]
    work: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class State:
    """What temporal reuse keeps of N frames; see `lc_trt.compiler.passes.temporal_reuse`.

    Attributes:
        features: float32 [N, C, h, w], the features at each pixel's last full computation.
        probabilities: float32 [N, K, h, w], the result of that computation.
        stages: uint8 [N, h, w], the stage that the pixel left at then, 2 or 3; 0 before the first.
    """

    features: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    stages: npt.NDArray[np.uint8]

    def forgotten(self) -> State:
        """The same with all stages 0, of which nothing is reused."""
        return State(self.features, self.probabilities, np.zeros_like(self.stages))

    def of(self, number: int) -> State:
        """The state of one frame, as a view.

        Args:
            number: index of the frame.
        """
        part = slice(number, number + 1)
        return State(self.features[part], self.probabilities[part], self.stages[part])

    @staticmethod
    def join(states: Sequence[State]) -> State:
        """The state of several frames; of one, the same object.

        Args:
            states: in order.
        """
        if len(states) == 1:
            return states[0]
        return State(
            np.concatenate([state.features for state in states]),
            np.concatenate([state.probabilities for state in states]),
            np.concatenate([state.stages for state in states]),
        )


class Engine(ABC):
    """A compiled network.

    Threads may share one: calls are serialised unless the backend is thread-safe.

    Attributes:
        backend: name of its backend.
        kind: ``cascade`` or ``dense``.
        size: (H, W) of its images in pixels; of a size profile, the optimum.
        batch: images per pass; of a batch profile, the optimum.
        smallest: lower bound of the shapes [N, H, W, 3] that it takes.
        largest: upper bound of them.
        gpu: the GPU that it runs on; None on the CPU.
        device: ``cpu`` or ``cuda:N``.
        state: shapes of the arrays of a `State`; None where it was built without temporal reuse.
    """

    backend: str
    gpu: Gpu | None = None

    @property
    def device(self) -> str:
        """What it runs on, as ``--device`` takes it."""
        return CPU

    def __init__(self, origin: str, inputs: Mapping[str, Sequence[Any]], outputs: set[str]) -> None:
        """Check the signature of a compiled network.

        Args:
            origin: how messages call the model.
            inputs: shape by name; a dimension that is not fixed is no integer.
            outputs: names.

        Raises:
            LcTrtError: it is no compiled segmentation network, or its shapes are not fixed.
        """
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
        self.smallest: tuple[int, ...] = shape
        self.largest: tuple[int, ...] = shape
        self.kind = "cascade" if STAGES in outputs else "dense"
        reuses = {*PAST, LIMITS} <= set(inputs) and {*PRESENT, WORK} <= outputs
        self.state = tuple(tuple(inputs[name]) for name in PAST) if reuses else None
        self._lock = threading.Lock()
        self._closed = False

    @abstractmethod
    def run(
        self, image: npt.NDArray[np.uint8], rho: npt.NDArray[np.float32] | None = None
    ) -> EngineOutput:
        """One pass.

        Args:
            image: uint8 [batch, H, W, 3], BGR, contiguous.
            rho: float32 [2], one threshold per boundary; a cascade needs it, a dense network
                takes none.

        Raises:
            ValueError: an array of another shape or type.
            LcTrtError: the engine was closed.
        """

    def run_reusing(
        self,
        image: npt.NDArray[np.uint8],
        rho: npt.NDArray[np.float32],
        past: State,
        limits: npt.NDArray[np.float32],
    ) -> tuple[EngineOutput, State]:
        """One pass that starts from a state; an engine with `state` has it.

        Args:
            image: as for `run`.
            rho: as for `run`.
            past: the state after the frames before; not changed.
            limits: float32 [2], tolerance and cut (`lc_trt.runtime.temporal_reuse.Reuse`).

        Returns:
            The output, and the state after it.
        """
        raise LcTrtError(f"{self.backend} engines know no temporal reuse")

    def no_state(self) -> State:
        """The state of one source before its first frame."""
        assert self.state is not None
        features, probabilities, stages = ((1, *shape[1:]) for shape in self.state)
        return State(
            np.zeros(features, np.float32),
            np.zeros(probabilities, np.float32),
            np.zeros(stages, np.uint8),
        )

    def close(self) -> None:
        """Free the engine's memory; no pass may follow."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._release()

    def _check_image(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        fits = len(shape) == 4 and all(
            a <= b <= c for a, b, c in zip(self.smallest, shape, self.largest, strict=True)
        )
        if not fits or dtype != np.uint8:
            expected = f"{self.smallest}"
            if self.smallest != self.largest:
                expected += f" to {self.largest}"
            raise ValueError(f"image {dtype} {shape}, expected uint8 {expected}")

    def _check_rho(self, rho: tuple[tuple[int, ...], np.dtype[Any]] | None) -> None:
        """``rho`` is shape and type, None where there is none."""
        if (rho is not None) != (self.kind == "cascade"):
            presence = "none" if rho is None else "given"
            raise ValueError(f"rho {presence}: a cascade needs it, a dense network takes none")
        if rho is not None and (rho[0] != (2,) or rho[1] != np.float32):
            raise ValueError(f"rho {rho[1]} {rho[0]}, expected float32 (2,)")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Serialise passes; refuse one after `close`."""
        with self._lock:
            self._check_open()
            yield

    def _check_open(self) -> None:
        if self._closed:
            raise LcTrtError("the engine was closed; load the bundle again")

    @abstractmethod
    def _release(self) -> None:
        """Drop what holds memory."""


class HostEngine(Engine):
    """An engine that takes NumPy's arrays and runs one pass at a time."""

    def run(
        self, image: npt.NDArray[np.uint8], rho: npt.NDArray[np.float32] | None = None
    ) -> EngineOutput:
        """See `Engine.run`."""
        if self.state is None:
            outputs = self._pass(image, rho, {})
            return EngineOutput(outputs[LABELS], outputs.get(STAGES), outputs[CONFIDENCE])
        # Built for temporal reuse and used without: as if each frame were the first.
        if rho is None:
            raise ValueError("rho none: a cascade needs it")
        nothing = State.join([self.no_state()] * self.batch)
        out, _ = self.run_reusing(image, rho, nothing, np.zeros(2, np.float32))
        return replace(out, work=None)

    def run_reusing(
        self,
        image: npt.NDArray[np.uint8],
        rho: npt.NDArray[np.float32],
        past: State,
        limits: npt.NDArray[np.float32],
    ) -> tuple[EngineOutput, State]:
        """See `Engine.run_reusing`."""
        before = (past.features, past.probabilities, past.stages)
        outputs = self._pass(image, rho, {**dict(zip(PAST, before, strict=True)), LIMITS: limits})
        out = EngineOutput(outputs[LABELS], outputs[STAGES], outputs[CONFIDENCE], outputs[WORK])
        return out, State(*(outputs[name] for name in PRESENT))

    def _pass(
        self,
        image: npt.NDArray[np.uint8],
        rho: npt.NDArray[np.float32] | None,
        more: dict[str, npt.NDArray[Any]],
    ) -> dict[str, Any]:
        self._check_image(image.shape, image.dtype)
        self._check_rho(None if rho is None else (rho.shape, rho.dtype))
        feed: dict[str, npt.NDArray[Any]] = {IMAGE: np.ascontiguousarray(image), **more}
        if rho is not None:
            feed[RHO] = rho
        with self._turn():
            return self._infer(feed)

    @abstractmethod
    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        """Outputs by name, in arrays that the next pass does not touch."""


def describe(model: Path | bytes) -> str:
    """How messages call a model.

    Args:
        model: a file, or its content.
    """
    return str(model) if isinstance(model, Path) else "model"


def unreadable(model: Path | bytes, backend: str, error: Exception) -> LcTrtError:
    """The error for a model that a backend refuses, with the backend's reason on one line.

    Args:
        model: the file, or its content.
        backend: the backend's name.
        error: what it raised.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return LcTrtError(
        f"{describe(model)}: {backend} cannot read it ({reason}); "
        f"build it for that backend: lc-trt build MODEL.onnx --backend {backend}"
    )
