"""A progress monitor that records its calls."""

from __future__ import annotations

from lc_trt.utils.progress import ProgressMonitor


class RecordingMonitor(ProgressMonitor):
    """Records phases and warnings.

    Attributes:
        phases: (steps, steps done) by name, in the order in which they began.
        open: names of the phases that have begun and not ended, outermost first.
    """

    def __init__(self) -> None:
        self.phases: dict[str, tuple[int, int]] = {}
        self.open: list[str] = []
        self.steps: list[str] = []
        self.warnings: list[str] = []

    def step(self, what: str) -> None:
        self.steps.append(what)

    def start(self, phase: str, steps: int) -> None:
        self.phases[phase] = (steps, 0)
        self.open.append(phase)

    def done(self, phase: str, steps: int) -> None:
        assert phase in self.open
        self.phases[phase] = (self.phases[phase][0], steps)

    def finish(self, phase: str) -> None:
        self.open.remove(phase)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
