"""How far a build has come, from TensorRT's phases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lc_trt.trt.api import TensorRT
from lc_trt.utils.progress import ProgressMonitor


class Stop:
    """Keeps what was raised while TensorRT was calling us.

    An exception that leaves a callback, Ctrl-C for one, would end the process. So the build is told
    to stop, and `reraise` raises what it was once TensorRT has returned.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None

    def call(self, function: Callable[..., None], *arguments: Any) -> bool:
        """Call it, unless something was raised before; whether to go on."""
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


def make_monitor(api: TensorRT, show: ProgressMonitor, stop: Stop) -> Any:
    """TensorRT's IProgressMonitor that hands on to ``show``."""
    trt: Any = api.module
    base: Any = trt.IProgressMonitor

    class Monitor(base):  # type: ignore[misc]
        """Calls ``show``; nothing leaves it."""

        def __init__(self) -> None:
            super().__init__()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            stop.call(show.start, phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return stop.call(show.done, phase_name, step + 1)

        def phase_finish(self, phase_name: str) -> None:
            stop.call(show.finish, phase_name)

    return Monitor()
