"""What a measurement was made on, without the machine's name or its folders."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lc_trt.utils.machine import Gpu, describe

_STAT = Path("/proc/stat")
SAMPLE = 0.4  # seconds


def describe_environment(threads: int | None, *packages: str) -> dict[str, Any]:
    """CPU, cores, threads, versions and what else goes on, for the JSON.

    Args:
        threads: what the engines are given; None is all cores.
        packages: modules that take part beside those that lc-trt always needs.
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
    """The GPU of a measurement and its driver, for the JSON: ``gpu`` and ``driver``, or None.

    Args:
        gpu: what an engine runs on; None for the CPU.
    """
    if gpu is None:
        return {"gpu": None, "driver": None}
    return {"gpu": asdict(gpu), "driver": describe().driver}


def busy() -> float | None:
    """Share of the CPU time, 0 to 1, that others use while this process sleeps.

    None where the system does not say (not Linux).
    """
    if not _STAT.is_file():
        return None
    before = _ticks()
    time.sleep(SAMPLE)
    idle, total = (after - was for after, was in zip(_ticks(), before, strict=True))
    return round(1.0 - idle / total, 2) if total else None


def _ticks() -> tuple[int, int]:
    """Idle and all ticks of all CPUs since the start."""
    # user nice system idle iowait irq softirq steal; guest time is inside user's.
    values = [int(v) for v in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    return values[3] + values[4], sum(values)
