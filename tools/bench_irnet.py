"""Benchmark the full irnet on the CPU at the published exit shares, against its ceilings.

    python tools/bench_irnet.py [--out benchmarks/cpu-irnet.json] [options of lc-trt bench]

Exports irnet with seeded random weights (speed does not depend on them), builds it for OpenVINO at
300x500, and benchmarks it with a different frame and region each time against the fastest dense
engine, then monitors memory over 500 frames. Exits with 1 if LC or LC fast misses its required
share of the ceiling, or if memory grows. Takes about ten minutes on two otherwise idle cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# Required share of the ceiling per row.
REQUIRED = {"LC": 0.90, "LC fast": 0.92}
SOAK = 500  # frames
FLAT = 32  # MiB that the second half of them may add


def main() -> int:
    """Run all steps; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/cpu-irnet.json"))
    parser.add_argument(
        "--work", type=Path, default=Path("runs/irnet"), help="reused by the next run"
    )
    known, more = parser.parse_known_args()
    model, bundle = known.work / "irnet.onnx", known.work / "irnet.lct"
    known.work.mkdir(parents=True, exist_ok=True)
    known.out.parent.mkdir(parents=True, exist_ok=True)
    if not model.is_file():
        lc_trt("export", "--preset", "irnet", "--seed", "0", "--size", "300x500", "-o", str(model))
    lc_trt("build", str(model), "-o", str(bundle), "--backend", "openvino")
    # irnet need not reach the published frame rate on a CPU: ceilings are checked below.
    lc_trt(
        "bench", str(bundle), "--shares", "published", "--runners", "all", "--soak", str(SOAK),
        "--json", str(known.out), "--no-check", *more,
    )  # fmt: skip
    return judge(json.loads(known.out.read_text()))


def judge(result: dict[str, Any]) -> int:
    """Print results and requirements; returns 1 if one is missed."""
    short = 0
    for row in result["rows"]:
        if row["name"] in REQUIRED:
            reached, required = row["speedup"] / row["ceiling"], REQUIRED[row["name"]]
            short += reached < required
            verdict = "met" if reached >= required else "missed"
            print(f"{row['name']}: {reached:.3f} of its ceiling, required {required}: {verdict}")
    grown = result["memory"]["second_half_mb"]
    short += grown > FLAT
    verdict = "flat" if grown <= FLAT else "growing"
    print(f"memory: {grown:+.0f} MiB in the second half of {SOAK} frames: {verdict}")
    return int(short > 0)


def lc_trt(*arguments: str) -> None:
    """Run a subcommand in a separate process, so that memory use does not carry over."""
    done = subprocess.run([sys.executable, "-m", "lc_trt", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
