"""The rows of a report, from the times of its lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lc_trt.bench.networks import DenseNetwork
from lc_trt.bench.report import Row, Target
from lc_trt.bench.timing import EngineLane, stage_times
from lc_trt.data import published
from lc_trt.data.metrics import mean_shares
from lc_trt.ir.cost import StageMacs
from lc_trt.utils.timing import percentiles, ratio


def timed_rows(
    dense: Sequence[DenseNetwork],
    lanes: Sequence[EngineLane],
    splits: Sequence[EngineLane],
    macs: StageMacs | None,
    precision: str,
    batch: int,
) -> tuple[list[Row], Row]:
    """All rows, and the one that speed-ups are relative to: the fastest of the bundle's own dense.

    Args:
        dense: the dense networks.
        lanes: their measured lanes, then those of the operating points.
        splits: of `lc_trt.bench.timing.cascade_lanes`; empty for a dense bundle.
        macs: of the cascade; None for a dense bundle.
        precision: of the bundle.
        batch: images per pass.
    """
    own = [i for i, network in enumerate(dense) if network.own]  # the reference is no baseline
    # By the paired ratio, like speed-ups: on a noisy machine, medians may rank differently.
    reference = max(own, key=lambda i: ratio(lanes[own[0]].times, lanes[i].times))
    rows = []
    for i, lane in enumerate(lanes):
        latency = percentiles(lane.times)
        row = Row(
            name=lane.name,
            backend=lane.engine.backend,
            precision=dense[i].precision if lane.rho is None else precision,
            fps=1e3 * batch / latency["p50"],
            latency_ms=latency,
            speedup=ratio(lanes[reference].times, lane.times),
        )
        if lane.rho is None:
            rows.append(replace(row, published_fps=dense[i].published_fps))
            continue
        shares = mean_shares(lane.shares)
        assert macs is not None
        cut = splits[1 + i - len(dense)]
        rows.append(
            replace(
                row,
                stage_ms=stage_times(splits[0].times, cut.times, lane.times),
                shares=shares,
                # Operations are linear in the shares, so the mean shares give the mean operations.
                ceiling=macs.dense / macs.at(1.0 - shares[0], shares[2]),
                published_fps=published.POINTS[lane.name].fps,
            )
        )
    return rows, rows[reference]


def target_of(rows: Sequence[Row], required: float | None) -> Target | None:
    """The frame rate that is required of the last row; None where none is.

    Args:
        rows: of `timed_rows`.
        required: in images per second; None for the published one of a cascade.
    """
    last = rows[-1]  # LC fast, or the dense network
    if required is None:
        if last.shares is None:
            return None
        required = published.TARGET_FPS
    return Target(last.name, last.fps, required)


def slower_rows(rows: Sequence[Row]) -> list[str]:
    """Notes on operating points that are slower than the dense network.

    Args:
        rows: of `timed_rows`.
    """
    return [
        f"{row.name} is slower than the dense network in {row.precision}: {row.speedup:.2f}x"
        for row in rows
        if row.shares is not None and row.speedup < 1
    ]
