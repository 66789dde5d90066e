"""The cascade, its dense network and the peers side by side: speed beside accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lc_trt.bench.accuracy import PATTERN, Accuracies, Accuracy
from lc_trt.bench.networks import DenseNetwork
from lc_trt.bench.timing import EngineLane
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.pareto_front import Pair
from lc_trt.data.published import PEERS, PeerFigures
from lc_trt.utils.timing import ratio

WITHOUT_EXITS: Pair = (1.0, 1.0)
NOT_MEASURED = "not measured"
NONE = "-"


@dataclass(frozen=True)
class Entry:
    """A network of the race.

    Attributes:
        name: of its row.
        precision: name of the precision.
        fps: images per second, from the median latency.
        random_weights: whether its weights are random.
        measured: accuracy that we measured, of trained weights; None where there is no result.
        published: figures of its paper; None for networks other than peers.
        over: speed-up over each peer, by the peer's row: the median over rounds of the ratio
            within a round.
    """

    name: str
    precision: str
    fps: float
    random_weights: bool
    measured: Accuracy | None
    published: PeerFigures | None
    over: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        published = self.published
        return {
            "name": self.name,
            "random_weights": self.random_weights,
            "measured": None if self.measured is None else self.measured.as_dict(),
            "published": None
            if published is None
            else {
                "miou": published.miou / 100,
                "protocol": published.protocol,
                "fps": published.fps,
                "gpu": published.gpu,
                "source": published.source,
            },
            "speedup_over": {name: round(value, 4) for name, value in self.over.items()},
        }

    def cells(self) -> list[str]:
        """One string per column of `Race.columns`."""
        measured, published = self.measured, self.published
        return [
            self.name,
            self.precision,
            f"{self.fps:.1f}",
            *(f"{value:.2f}x" for value in self.over.values()),
            NOT_MEASURED if measured is None else f"{100 * measured.miou:.2f}",
            NONE if measured is None else measured.protocol,
            NONE if published is None else f"{published.miou:.1f}",
            NONE if published is None else published.protocol,
            NONE if published is None or published.speed is None else published.speed,
        ]


@dataclass(frozen=True)
class Race:
    """All networks of the race.

    Attributes:
        entries: in the order of the report's rows.
    """

    entries: list[Entry]

    @property
    def columns(self) -> tuple[str, ...]:
        """Column headings."""
        over = (f"over {name}" for name in self.entries[0].over)
        return (
            "row", "precision", "fps", *over, "mIoU %", "measured on", "published mIoU %",
            "published on", "published speed",
        )  # fmt: skip

    def lines(self) -> list[str]:
        """The lines below the table."""
        random = [entry.name for entry in self.entries if entry.random_weights]
        lines = []
        if random:
            lines.append(
                f"Random weights, as fast as trained ones: {', '.join(random)}. Their mIoU is that "
                "of trained weights, from a run of its own."
            )
        if any(entry.measured is None for entry in self.entries):
            lines.append(
                f"{NOT_MEASURED}: no {PATTERN} for the network and its thresholds, or several "
                "(--accuracy DIR)."
            )
        return lines


def race(
    dense: Sequence[DenseNetwork],
    lanes: Sequence[EngineLane],
    fps: Sequence[float],
    precisions: Sequence[str],
    manifest: Manifest,
    accuracies: Accuracies,
) -> Race:
    """Compare the networks of a bench with its peers.

    Args:
        dense: the dense networks.
        lanes: measured lanes, those of ``dense`` first, then those of the cascade.
        fps: images per second of each lane.
        precisions: of each lane.
        manifest: of the bundle under test.
        accuracies: measured accuracies.
    """
    peers = [lane for lane, other in zip(lanes, dense, strict=False) if other.name in PEERS]
    entries = []
    for i, lane in enumerate(lanes):
        name = dense[i].name if i < len(dense) else manifest.name
        own = i >= len(dense) or dense[i].own
        entries.append(
            Entry(
                name=lane.name,
                precision=precisions[i],
                fps=fps[i],
                random_weights=not own or manifest.trained is None,
                measured=_measured(lane, name, own, manifest, accuracies),
                published=PEERS.get(name),
                over={peer.name: ratio(peer.times, lane.times) for peer in peers},
            )
        )
    return Race(entries)


def _measured(
    lane: EngineLane, name: str, own: bool, manifest: Manifest, accuracies: Accuracies
) -> Accuracy | None:
    if own and manifest.trained is None:
        return None
    if lane.rho is None:
        # The dense network of a cascade is the cascade without exits.
        return accuracies.find(name, WITHOUT_EXITS if own and manifest.kind == "cascade" else None)
    pairs = {(float(rho[0]), float(rho[1])) for rho in lane.rho}
    return accuracies.find(name, pairs.pop()) if len(pairs) == 1 else None
