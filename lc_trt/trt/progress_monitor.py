"""The progress of a build, from TensorRT's phases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lc_trt.trt.api import TensorRT
from lc_trt.utils.progress import ProgressMonitor


class Stop:
    """Holds an exception of a callback until TensorRT has returned.

    One that leaves a callback, Ctrl-C for example, would end the process. So the callback cancels
    the build, and `reraise` raises the exception afterwards.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None

    def call(self, function: Callable[..., None], *arguments: Any) -> bool:
        """Call a function unless an earlier call raised.

        Args:
            function: the callback.
            arguments: of the callback.

        Returns:
            Whether the build may go on.
        """
        if self._reason is None:
            try:
                function(*arguments)
            except BaseException as error:
                self._reason = error
        return self._reason is None

    def reraise(self) -> None:
        """Raise the first exception of a callback."""
        if self._reason is not None:
            raise self._reason


def make_monitor(api: TensorRT, monitor: ProgressMonitor, stop: Stop) -> Any:
    """An IProgressMonitor.

    Args:
        api: TensorRT.
        monitor: gets the phases and their steps.
        stop: holds what ``monitor`` raises.
    """
    trt: Any = api.module
    base: Any = trt.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        """Calls ``monitor`` and raises nothing."""

        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            stop.call(monitor.start, phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return stop.call(monitor.done, phase_name, step + 1)

        def phase_finish(self, phase_name: str) -> None:
            stop.call(monitor.finish, phase_name)

    return Monitor()
