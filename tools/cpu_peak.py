"""Measure the peak multiply-add rate of a core of this processor in each precision.

    python tools/cpu_peak.py [--seconds 1] > benchmarks/cpu-peak.json

Runs a loop of twenty independent instructions per precision, compiled with gcc for AVX-512. The
gain of an engine from bf16 or INT8 cannot exceed these ratios: on a processor with AVX512-BF16 but
without AMX, bf16 may be slower than FP32. Instructions that the processor lacks are omitted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from lc_trt.cli.command_line import command_line
from lc_trt.utils.environment import describe_environment

# precision: instruction, operations per 512-bit instruction, flag in /proc/cpuinfo
INSTRUCTIONS = {
    "fp32": ("vfmadd231ps", 32, "avx512f"),
    "bf16": ("vdpbf16ps", 64, "avx512_bf16"),
    "fp16": ("vfmadd231ph", 64, "avx512_fp16"),
    "int8": ("vpdpbusd", 128, "avx512_vnni"),
}
CHAINS = 20  # more than latency times ports
ROUNDS = 5


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="approximate duration per precision"
    )
    known = parser.parse_args()
    flags = Path("/proc/cpuinfo").read_text().split()
    if "avx512f" not in flags:
        print("error: this processor has no AVX-512", file=sys.stderr)
        return 1
    kinds = {name: k for name, k in INSTRUCTIONS.items() if k[2] in flags}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        binary = compile_loops(Path(folder), kinds, int(known.seconds * 3e8 / CHAINS / ROUNDS * 10))
        for _ in range(ROUNDS):  # in turns: clocks drift
            for line in subprocess.check_output([binary], text=True).splitlines():
                name, rate = line.split()
                times[name].append(float(rate))
    best = {name: max(rates) for name, rates in times.items()}
    rows = [
        {
            "precision": name,
            "instruction": kinds[name][0],
            "instructions_per_ns": round(best[name], 2),
            "gflops_per_core": round(best[name] * kinds[name][1], 1),
            "over_fp32": round(best[name] * kinds[name][1] / (best["fp32"] * 32), 2),
        }
        for name in kinds
    ]
    command = command_line("python tools/cpu_peak.py", sys.argv[1:])
    print(
        json.dumps(
            {"rows": rows, "environment": describe_environment(1), "command": command}, indent=2
        )
    )
    return 0


def compile_loops(folder: Path, kinds: dict[str, tuple[str, int, str]], repeats: int) -> Path:
    """C source of a program that prints lines "precision instructions-per-nanosecond"."""
    lines = [
        "#include <stdio.h>",
        "#include <time.h>",
        "static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);"
        " return t.tv_sec * 1e9 + t.tv_nsec; }",
        "int main(void) {",
    ]
    zero = "".join(f"vpxorq %%zmm{i}, %%zmm{i}, %%zmm{i}\\n" for i in (*range(CHAINS), 30, 31))
    for name, (instruction, _, _) in kinds.items():
        body = "".join(f"{instruction} %%zmm31, %%zmm30, %%zmm{i}\\n" for i in range(CHAINS))
        lines += [
            f"  {{ long k = {repeats}; double t = now();",
            f'    __asm__ volatile("{zero}1: {body}dec %0\\n jnz 1b" : "+r"(k) : : "memory");',
            f'    printf("{name} %f\\n", {repeats}.0 * {CHAINS} / (now() - t)); }}',
        ]
    source, binary = folder / "peak.c", folder / "peak"
    source.write_text("\n".join([*lines, "}"]))
    subprocess.run(["gcc", "-O1", "-march=sapphirerapids", source, "-o", binary], check=True)
    return binary


if __name__ == "__main__":
    sys.exit(main())
