"""Predict the time of region convolutions on an H100 with a roofline model.

    python tools/gpu/predict.py [--preset irnet] [--size 300x500] [--batch 8] [--share 0.44]
                                [--type float16]

The layers are those of the lowered ONNX. The lower bound of a layer is the longer of two times: its
operations divided by the arithmetic rate, and its bytes (each input read and each output written
once) divided by the memory bandwidth. Needs no GPU.
"""

from __future__ import annotations

import argparse
import math

from gpubench.layers import Layer, feature_map, preset_layers
from gpubench.machine import finish
from gpubench.networks import KINDS
from gpubench.roofline import (
    H100_DATASHEET,
    H100_MEASURED,
    MMA_SYNC,
    MMA_SYNC_SOURCE,
    bound,
)

US = 1e3  # microseconds in a millisecond


def table(layers: dict[Layer, int], rows: int, share: float) -> list[str]:
    """Markdown table: one line per layer, the slowest first, and the sum.

    Args:
        layers: number of occurrences by layer.
        rows: pixels of the map.
        share: share of active pixels, 0 to 1.
    """
    active = share * rows
    lines = [
        f"| layer | times | GFLOP | MB | at the datasheet's rates, us | at measured rates, us "
        f"| with mma.sync, us | limit | dense (share 1), us | ratio over share {share:g} |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    totals = [0.0] * 4

    def cost(layer: Layer) -> list[float]:
        return [
            bound(layer, active, H100_DATASHEET).ms,
            bound(layer, active, H100_MEASURED).ms,
            bound(layer, active, H100_MEASURED, MMA_SYNC).ms,
            bound(layer, rows, H100_MEASURED).ms,
        ]

    for layer, count in sorted(layers.items(), key=lambda item: -item[1] * cost(item[0])[2]):
        times, least = cost(layer), bound(layer, active, H100_MEASURED, MMA_SYNC)
        totals = [total + count * time for total, time in zip(totals, times, strict=True)]
        sheet, measured, kernel, dense = (time * US for time in times)
        lines.append(
            f"| {layer.name} | {count} | {least.flops / 1e9:.2f} | {least.data / 1e6:.2f} "
            f"| {sheet:.1f} | {measured:.1f} | {kernel:.1f} | {least.limit} | {dense:.1f} "
            f"| {kernel / dense / share:.2f} |"
        )
    sheet, measured, kernel, dense = (total * US for total in totals)
    lines.append(
        f"| **all** | {sum(layers.values())} | | | {sheet:.0f} | {measured:.0f} | {kernel:.0f} | "
        f"| {dense:.0f} | {kernel / dense / share:.2f} |"
    )
    return lines


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="irnet")
    parser.add_argument("--size", default="300x500")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.44)
    parser.add_argument("--type", choices=KINDS, default="float16")
    options = parser.parse_args()
    height, width = (int(side) for side in options.size.split("x"))
    rows = math.prod(feature_map(options.batch, (height, width)))
    print(
        f"{options.preset}, {options.size}, batch {options.batch}, {options.type}, "
        f"share {options.share:g} of {rows} pixels\n"
    )
    print("\n".join(table(preset_layers(options.preset, options.type), rows, options.share)))
    print(f"\nDatasheet: {H100_DATASHEET.source}. Measured: {H100_MEASURED.source}.")
    print(f"mma.sync: {MMA_SYNC_SOURCE}.")
    return 0


if __name__ == "__main__":
    finish(main)
