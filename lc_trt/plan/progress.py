"""How far a build has come, from TensorRT's phases."""

from __future__ import annotations

from typing import Any, Protocol

from lc_trt.trt import TensorRT


class Phases(Protocol):
    """Who shows phases: each has a name and a number of steps, and they nest."""

    def start(self, phase: str, steps: int) -> None:
        """A phase begins."""

    def step(self, phase: str, done: int) -> None:
        """So many of its steps are done."""

    def finish(self, phase: str) -> None:
        """A phase has ended."""


class Quiet:
    """Shows nothing."""

    def start(self, phase: str, steps: int) -> None:
        """A phase begins."""

    def step(self, phase: str, done: int) -> None:
        """So many of its steps are done."""

    def finish(self, phase: str) -> None:
        """A phase has ended."""


class Stop:
    """Keeps what was raised while TensorRT was calling us.

    An exception that leaves a callback, Ctrl-C for one, would end the process. So the build is told
    to stop, and `reraise` raises what it was once TensorRT has returned.
    """

    def __init__(self) -> None:
        self.reason: BaseException | None = None

    def reraise(self) -> None:
        """Raise what a callback raised."""
        if self.reason is not None:
            raise self.reason


def make_monitor(api: TensorRT, phases: Phases, stop: Stop) -> Any:
    """TensorRT's IProgressMonitor that hands on to ``phases``."""
    trt: Any = api.module
    base: Any = trt.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        """Calls ``phases``; nothing leaves it."""

        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            try:
                phases.start(phase_name, num_steps)
            except BaseException as error:
                stop.reason = error

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                phases.step(phase_name, step + 1)
            except BaseException as error:
                stop.reason = error
            return stop.reason is None

        def phase_finish(self, phase_name: str) -> None:
            try:
                phases.finish(phase_name)
            except BaseException as error:
                stop.reason = error

    return Monitor()
