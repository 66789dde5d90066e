"""Print what the region convolutions should take on an H100: the roofline, before any measurement.

    python tools/gpu/predict.py [--preset irnet] [--size 300x500] [--batch 8] [--share 0.44]
                                [--type float16]

A layer's floor is the longer of its operations over the arithmetic rate and its bytes, each input
read and each output written once, over the memory's. Needs no GPU.
"""

from __future__ import annotations

import argparse
import math

from gpubench.machine import finish
from gpubench.roofline import (
    H100_DATASHEET,
    H100_MEASURED,
    MMA_SYNC,
    MMA_SYNC_SOURCE,
    bound,
)
from gpubench.shapes import Layer, feature_map, region_layers

US = 1e3  # microseconds in a millisecond


ELEMENT = {"float16": 2, "int8": 1}  # bytes


def table(layers: dict[Layer, int], rows: int, share: float, kind: str) -> list[str]:
    """Markdown: a line a layer, what takes most first, and the sum."""
    active, element = share * rows, ELEMENT[kind]
    lines = [
        f"| layer | times | GFLOP | MB | at the datasheet's rates, us | at measured rates, us "
        f"| with mma.sync, us | limit | dense (share 1), us | ratio over share {share:g} |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    totals = [0.0] * 4

    def cost(layer: Layer) -> list[float]:
        return [
            bound(layer, active, H100_DATASHEET, element).ms,
            bound(layer, active, H100_MEASURED, element).ms,
            bound(layer, active, H100_MEASURED, element, reached=MMA_SYNC).ms,
            bound(layer, rows, H100_MEASURED, element).ms,
        ]

    for layer, count in sorted(layers.items(), key=lambda item: -item[1] * cost(item[0])[2]):
        times, found = cost(layer), bound(layer, active, H100_MEASURED, element, MMA_SYNC)
        totals = [total + count * time for total, time in zip(totals, times, strict=True)]
        sheet, measured, kernel, dense = (time * US for time in times)
        lines.append(
            f"| {layer.name} | {count} | {found.flops / 1e9:.2f} | {found.data / 1e6:.2f} "
            f"| {sheet:.1f} | {measured:.1f} | {kernel:.1f} | {found.limit} | {dense:.1f} "
            f"| {kernel / dense / share:.2f} |"
        )
    sheet, measured, kernel, dense = (total * US for total in totals)
    lines.append(
        f"| **all** | {sum(layers.values())} | | | {sheet:.0f} | {measured:.0f} | {kernel:.0f} | "
        f"| {dense:.0f} | {kernel / dense / share:.2f} |"
    )
    return lines


def main() -> int:
    """Print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="irnet")
    parser.add_argument("--size", default="300x500")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.44)
    parser.add_argument("--type", choices=ELEMENT, default="float16")
    given = parser.parse_args()
    height, width = (int(side) for side in given.size.split("x"))
    rows = math.prod(feature_map(given.batch, (height, width)))
    print(
        f"{given.preset}, {given.size}, batch {given.batch}, {given.type}, "
        f"share {given.share:g} of {rows} pixels\n"
    )
    print("\n".join(table(region_layers(given.preset), rows, given.share, given.type)))
    print(f"\nDatasheet: {H100_DATASHEET.source}. Measured: {H100_MEASURED.source}.")
    print(f"mma.sync: {MMA_SYNC_SOURCE}.")
    return 0


if __name__ == "__main__":
    finish(main)
