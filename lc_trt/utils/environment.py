"""Describes the machine of a measurement, without host name or local paths."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lc_trt.utils.machine import Gpu, describe

CPU_STATISTICS = Path("/proc/stat")  # of Linux
SAMPLE = 0.4  # seconds


def describe_environment(threads: int | None, *packages: str) -> dict[str, Any]:
    """Describe CPU, cores, threads, versions and load, for JSON.

    Args:
        threads: threads of the engines; None for all cores.
        packages: modules involved in addition to the required ones.
    """
    machine = describe()
    return {
        "cpu": machine.cpu,
        "cpu_features": list(machine.cpu_features),
        "cores": machine.cores,
        "threads": threads or machine.cores,
        "busy_before": busy(),
        "os": f"{platform.system()} {platform.machine()}",
        "python": machine.python,
        "versions": {
            "lc-trt": machine.lc_trt,
            **{
                p.module: p.version
                for p in machine.packages
                if (p.required or p.module in packages) and p.version
            },
        },
    }


def describe_gpu(gpu: Gpu | None) -> dict[str, Any]:
    """Describe the GPU of a measurement and its driver, for JSON.

    Args:
        gpu: the GPU of the engine; None for the CPU.

    Returns:
        ``gpu`` and ``driver``, both None for the CPU.
    """
    if gpu is None:
        return {"gpu": None, "driver": None}
    return {"gpu": asdict(gpu), "driver": describe().driver}


def busy(statistics: Path = CPU_STATISTICS) -> float | None:
    """Measure the CPU load by other processes while this one sleeps.

    Args:
        statistics: file of the kernel with the ticks of all CPUs.

    Returns:
        Share of the CPU time, 0 to 1; None if unknown (not Linux).
    """
    if not statistics.is_file():
        return None
    before = _ticks(statistics)
    time.sleep(SAMPLE)
    idle, total = (end - start for start, end in zip(before, _ticks(statistics), strict=True))
    return round(1.0 - idle / total, 2) if total else None


def _ticks(statistics: Path) -> tuple[int, int]:
    """Idle and all ticks of all CPUs since the start."""
    # user nice system idle iowait irq softirq steal; guest time is inside user's.
    values = [int(v) for v in statistics.read_text().split("\n", 1)[0].split()[1:9]]
    return values[3] + values[4], sum(values)
