"""A progress monitor that records its calls."""

from __future__ import annotations

from lc_trt.utils.progress import ProgressMonitor


class RecordingMonitor(ProgressMonitor):
    """Records phases and warnings.

    Attributes:
        phases: (steps, steps done) by name, in the order of their beginnings.
        reports: steps done at each report, by phase.
        open: names of the phases that have not ended, outermost first.
    """

    def __init__(self) -> None:
        self.phases: dict[str, tuple[int, int]] = {}
        self.reports: dict[str, list[int]] = {}
        self.open: list[str] = []
        self.warnings: list[str] = []

    def start(self, phase: str, steps: int) -> None:
        self.phases[phase] = (steps, 0)
        self.reports[phase] = []
        self.open.append(phase)

    def done(self, phase: str, steps: int) -> None:
        assert phase in self.open
        self.phases[phase] = (self.phases[phase][0], steps)
        self.reports[phase].append(steps)

    def finish(self, phase: str) -> None:
        self.open.remove(phase)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
