"""Create Markdown tables and a figure from the results of the GPU benches.

    python tools/gpu/table.py --network network.json --kernels kernels.jsonl [--figure gpu.svg]

Tables are printed. Needs no GPU; the figure needs matplotlib (extra `report`).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gpubench.machine import finish

from lc_trt.errors import LcTrtError, UsageError


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the latest measurement of each kind, and the machines, from a JSON lines file."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    machines = []
    for line in _text(path).splitlines():
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue  # incomplete line of an interrupted run
        if "machine" in value:
            machines.append(value["machine"])
        elif "ms" in value:
            rows[value["key"], value["mask"], value["share"]] = value
    if not rows:
        raise LcTrtError(f"{path}: has no measurements; create it with tools/gpu/bench_kernels.py")
    return list(rows.values()), machines


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise LcTrtError(f"{path}: cannot be read ({error.strerror})") from error


def network_table(result: dict[str, Any]) -> list[str]:
    """The speed table, one part per batch size, with the published frames per second."""
    lines = [
        f"{result.get('gpu', 'no GPU')}, {result['preset']}, commit {result['commit']}, medians of "
        f"{result['rounds']} rounds; `{result['command']}`. Published: {result['published']}.",
    ]
    for part in result["batches"]:
        height, width = part["size"]
        lines += [
            "", f"Batch {part['batch']}, {height}x{width}, {part['dtype']}; logits within "
            f"{part['error']:.1e} of PyTorch's regions.", "",
            "| network | ms | images/s | speed-up | ceiling | reached | goal | exits at 1/2/3, % "
            "| published fps |",
            "|---|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for row in part["rows"]:
            shares = "" if not row["shares"] else "/".join(f"{100 * s:.0f}" for s in row["shares"])
            goal = "" if row["goal"] is None else f"{row['goal']} {_met(row['met'])}"
            lines.append(
                f"| {row['name']} | {row['ms']:.3f} | {row['images_per_second']:.0f} "
                f"| {row['speedup']:.2f} | {_number(row['ceiling'])} | {_number(row['reached'])} "
                f"| {goal} | {shares} | {_number(row['published_fps'], 1)} |"
            )
    return lines


def kernel_table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Time divided by share x dense time over all layers, one line per configuration.

    Layers are weighted by their number of occurrences. 1.00 means that a share of the pixels takes
    the same share of the dense time; the goal is at most 1 / 0.9.
    """
    groups: dict[tuple[Any, ...], dict[float, list[float]]] = defaultdict(dict)
    layers: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    met: dict[tuple[Any, ...], list[bool]] = defaultdict(list)
    full: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        where = (row["preset"], *row["size"], row["batch"], row["type"])
        if row["mask"] == "full":
            full[where].append(row)
            continue
        _count(groups[(*where, row["mask"])], row)
        layers[(*where, row["mask"])].add(row["key"])
        if row["met"] is not None:
            met[(*where, row["mask"])].append(row["met"])
    for key in groups:
        for row in full[key[:-1]]:
            _count(groups[key], row)
            met[key].append(row["met"])
    shares = sorted({share for sums in groups.values() for share in sums})
    lines = [
        "| network | size | batch | type | mask | layers | "
        + " | ".join(f"{share:.0%}" for share in shares)
        + " | goal met |",
        "|" + "---|" * (len(shares) + 7),
    ]
    for key, sums in sorted(groups.items()):
        preset, height, width, batch, kind, mask = key
        cells = [_number(_over_share(share, sums.get(share))) for share in shares]
        lines.append(
            f"| {preset} | {height}x{width} | {batch} | {kind} | {mask} | {len(layers[key])} | "
            + " | ".join(cells)
            + f" | {sum(met[key])} of {len(met[key])} |"
        )
    return lines


def _count(group: dict[float, list[float]], row: dict[str, Any]) -> None:
    ours, dense = group.get(row["share"], [0.0, 0.0])
    group[row["share"]] = [
        ours + row["count"] * row["ms"],
        dense + row["count"] * row["dense_ms"],
    ]


def _over_share(share: float, sums: list[float] | None) -> float | None:
    return None if sums is None else sums[0] / sums[1] / share


def worst(rows: Sequence[dict[str, Any]], most: int = 15) -> list[str]:
    """The measurements furthest above their goals, by time lost in their network."""

    def lost(row: dict[str, Any]) -> float:
        return float(row["count"] * (row["ms"] - row["goal"] * row["dense_ms"]))

    missed = sorted((row for row in rows if row["met"] is False), key=lost, reverse=True)
    lines = [
        "| layer | times | size | batch | mask | share | us | TFLOP/s | dense, us | over goal, us "
        "| tactic | floor, us |",
        "|" + "---|" * 12,
    ]
    for row in missed[:most]:
        height, width = row["size"]
        lines.append(
            f"| {row['preset']} {row['layer']} | {row['count']} | {height}x{width} | {row['batch']}"
            f" | {row['mask']} | {row['share']:.0%} | {1e3 * row['ms']:.1f} | {row['tflops']:.0f} "
            f"| {1e3 * row['dense_ms']:.1f} | {1e3 * lost(row):.1f} | {row['tactic']} "
            f"| {1e3 * row['floor_ms']:.1f} |"
        )
    return lines


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _met(met: bool | None) -> str:
    return "met" if met else "missed"


def draw(path: Path, result: dict[str, Any]) -> None:
    """Draw images per second, one panel per batch size, with ceilings as lines."""
    try:
        import matplotlib
    except ImportError as error:
        raise LcTrtError("matplotlib is missing: pip install 'lc-trt[report]'") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parts = result["batches"]
    figure, axes = plt.subplots(1, len(parts), figsize=(6 * len(parts), 4), squeeze=False)
    for axis, part in zip(axes[0], parts, strict=True):
        rows = part["rows"]
        speeds = [row["images_per_second"] for row in rows]
        axis.barh([row["name"] for row in rows], speeds, color="tab:blue")
        for position, row in enumerate(rows):
            if row["ceiling"]:
                most = row["images_per_second"] / row["reached"]
                axis.plot([most, most], [position - 0.4, position + 0.4], color="black")
        axis.set_title(f"batch {part['batch']}, {part['dtype']} (line: ceiling)")
        axis.set_xlabel("images per second")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def main() -> int:
    """Print tables and draw the figure; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", type=Path)
    parser.add_argument("--kernels", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    if options.network is None and options.kernels is None:
        raise UsageError("no input: use --network FILE, --kernels FILE or both")
    if options.figure is not None and options.network is None:
        raise UsageError("--figure requires --network FILE")
    if options.network is not None:
        try:
            result = json.loads(_text(options.network))
        except json.JSONDecodeError as error:
            raise LcTrtError(f"{options.network}: not JSON ({error})") from error
        print("\n".join(network_table(result)))
        if options.figure is not None:
            draw(options.figure, result)
    if options.kernels is not None:
        rows, machines = read_lines(options.kernels)
        gpus = sorted({machine.get("gpu", "no GPU") for machine in machines})
        print(f"\nTime over share x dense time, {', '.join(gpus)}:\n")
        print("\n".join(kernel_table(rows)))
        print("\nLargest losses against the goal:\n")
        print("\n".join(worst(rows)))
    return 0


if __name__ == "__main__":
    finish(main)
