"""The results of a bench, as JSON and as lines and cells of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lc_trt.bench.memory import Memory
from lc_trt.bench.race import Race
from lc_trt.bundle.exit_bound import ExitBound
from lc_trt.data.metrics import Shares
from lc_trt.utils.files import write_json

COLUMNS = (
    "row", "backend", "fps", "published", "p50 / p95 / p99 ms", "stages ms", "shares %",
    "speed-up", "ceiling", "reached",
)  # fmt: skip
NONE = "-"


@dataclass(frozen=True)
class Row:
    """Measurements of a network on a backend.

    Attributes:
        name: ``dense``, ``LC``, ``LC fast``, or the name of a baseline or peer.
        backend: name of the backend.
        precision: name of the precision.
        fps: images per second, from the median latency.
        latency_ms: percentiles ``p50``, ``p95`` and ``p99`` of a pass, in milliseconds.
        speedup: over the reference: the median over rounds of the ratio within a round.
        stage_ms: milliseconds per stage; None for a dense network.
        shares: measured shares of the pixels that exit at each stage, 0 to 1; None for a dense
            network.
        ceiling: upper bound of the speed-up, from the operations skipped at these shares; None for
            a dense network.
        published_fps: of the paper; None where it has none.
    """

    name: str
    backend: str
    precision: str
    fps: float
    latency_ms: dict[str, float]
    speedup: float
    stage_ms: tuple[float, float, float] | None = None
    shares: Shares | None = None
    ceiling: float | None = None
    published_fps: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values, rounded to significant digits."""
        return {
            "name": self.name,
            "backend": self.backend,
            "precision": self.precision,
            "fps": round(self.fps, 3),
            "latency_ms": {k: round(v, 3) for k, v in self.latency_ms.items()},
            "stage_ms": _rounded(self.stage_ms, 3),
            "shares": _rounded(self.shares, 4),
            "speedup": round(self.speedup, 4),
            "ceiling": None if self.ceiling is None else round(self.ceiling, 4),
            "published_fps": self.published_fps,
        }

    def cells(self) -> list[str]:
        """One string per column of `COLUMNS`."""
        reached = NONE if self.ceiling is None else f"{100 * self.speedup / self.ceiling:.0f} %"
        return [
            self.name,
            self.backend,
            f"{self.fps:.1f}",
            NONE if self.published_fps is None else f"{self.published_fps:.1f}",
            " / ".join(f"{v:.1f}" for v in self.latency_ms.values()),
            NONE if self.stage_ms is None else " / ".join(f"{v:.1f}" for v in self.stage_ms),
            NONE if self.shares is None else " / ".join(f"{100 * v:.0f}" for v in self.shares),
            f"{self.speedup:.2f}x",
            NONE if self.ceiling is None else f"{self.ceiling:.2f}x",
            reached,
        ]


@dataclass(frozen=True)
class Target:
    """A required frame rate.

    Attributes:
        row: name of the row that has to reach it.
        fps: measured, in images per second.
        required: likewise.
    """

    row: str
    fps: float
    required: float

    @property
    def met(self) -> bool:
        """Whether the row reaches it."""
        return self.fps >= self.required

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "row": self.row,
            "fps": round(self.fps, 3),
            "required": self.required,
            "met": self.met,
        }


@dataclass(frozen=True)
class Report:
    """Results of a bench.

    Attributes:
        model: the network's name.
        rows: dense networks first, then the operating points of the cascade.
        reference: the row that speed-ups are relative to.
        size: (height, width) in pixels.
        batch: images per pass.
        rounds: measured passes per row.
        content: description of the frames.
        environment: description of the machine.
        command: the command line that reproduces it.
        target: required frame rate; None where none is.
        memory: of the soak; None without one.
        race: speed beside accuracy; None without peers.
        bound: what the bundle's default thresholds keep to; None if they were not tuned for it.
        bound_applies: whether the row ``LC`` ran as the bundle was tuned: at its default thresholds
            and at its size.
        notes: remarks on the results, a sentence each.
    """

    model: str
    rows: list[Row]
    reference: Row
    size: tuple[int, int]
    batch: int
    rounds: int
    content: str
    environment: dict[str, Any]
    command: str
    target: Target | None = None
    memory: Memory | None = None
    race: Race | None = None
    bound: ExitBound | None = None
    bound_applies: bool = False
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "model": self.model,
            "command": self.command,
            "size": list(self.size),
            "batch": self.batch,
            "rounds": self.rounds,
            "content": self.content,
            "rows": [row.as_dict() for row in self.rows],
            "reference": {"name": self.reference.name, "backend": self.reference.backend},
            "target": None if self.target is None else self.target.as_dict(),
            "memory": None if self.memory is None else self.memory.as_dict(),
            "race": None if self.race is None else [e.as_dict() for e in self.race.entries],
            "bound": None
            if self.bound is None
            else {**asdict(self.bound), "applies": self.bound_applies},
            "environment": self.environment,
            "notes": self.notes,
        }

    def write(self, path: Path) -> None:
        """Write `as_dict` as JSON.

        Args:
            path: the file.

        Raises:
            LcTrtError: it cannot be written.
        """
        write_json(path, self.as_dict(), option="--json")

    def title(self) -> str:
        """One line: network, size, precision, machine, rounds and content."""
        batch = f", batch {self.batch}" if self.batch > 1 else ""
        threads, gpu = self.environment["threads"], self.environment.get("gpu")
        place = f"{threads} thread{'s' * (threads > 1)} of {self.environment['cpu']}"
        if gpu is not None:
            place = f"{gpu['name']} (compute capability {gpu['compute_capability']})"
        return (
            f"{self.model} at {self.size[0]}x{self.size[1]}{batch}, {self.rows[-1].precision}, "
            f"{place}, {self.rounds} rounds on {self.content}"
        )

    def lines(self) -> list[str]:
        """The lines below the table: reference, bound, memory and target, in this order."""
        lines = []
        if len(self.rows) > 1:
            lines.append(
                f"Speed-up over {self.reference.name} on {self.reference.backend}; ceiling: what "
                "the skipped operations allow; published: the paper's figures on its GPU."
            )
        if self.bound is not None:
            other = "" if self.bound_applies else ", but not for LC here (other size or shares)"
            lines.append(f"Bound on exits{other}: {self.bound.summary}.")
        if self.memory is not None:
            memory = self.memory
            lines.append(
                f"Memory over {memory.frames} frames of changing regions: {memory.start_mb:.0f} to "
                f"{memory.end_mb:.0f} MiB, {memory.second_half_mb:+.0f} in the second half."
            )
        if self.target is not None:
            target = self.target
            lines.append(
                f"Target: {target.row} {target.fps:.1f} fps, required {target.required:g}: "
                f"{'met' if target.met else 'missed'}"
            )
        return lines


def _rounded(values: tuple[float, ...] | None, digits: int) -> list[float] | None:
    return None if values is None else [round(v, digits) for v in values]
