"""The machine: its GPU, the harness for it, and their description in results."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gpubench import ROOT
from gpubench.kernels import Kernels
from lc_trt.cli.command_line import command_line
from lc_trt.errors import LcTrtError
from lc_trt.utils.machine import describe

GPU = torch.device("cuda")
LIBRARY = ROOT / "build" / "harness" / "liblc_trt_harness.so"


def require_gpu() -> None:
    """Raise `LcTrtError` if torch has no GPU."""
    if not torch.cuda.is_available():
        raise LcTrtError(
            f"no GPU: torch {torch.__version__} sees no CUDA device; run it on a machine with an "
            "NVIDIA GPU, see tools/gpu/README.md"
        )


def build_harness(log: Path | None = None) -> Path:
    """Build the harness in plugins/ for this GPU and return its path.

    Raises:
        LcTrtError: CMake, nvcc or the compiler failed; the message ends with its last line.
    """
    command = ["cmake", "--workflow", "--preset", "harness"]
    try:
        done = subprocess.run(
            command, cwd=ROOT / "plugins", capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise LcTrtError(f"the harness was not built: cmake cannot run ({error})") from error
    if log is not None:
        log.write_text(done.stdout + done.stderr)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1])
        raise LcTrtError(f"the harness was not built ({' '.join(command)}): {reason.strip()}")
    return LIBRARY


def open_kernels() -> Kernels:
    """The kernels on this machine's GPU."""
    from plugin_harness import Harness

    require_gpu()
    torch.backends.cudnn.benchmark = True
    # Float32 references stay float32.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return Kernels(Harness(build_harness()), GPU)


def describe_machine() -> dict[str, Any]:
    """GPU, driver, versions and the command, for the JSON."""
    machine = describe()
    facts: dict[str, Any] = {
        "command": command_line("python", sys.argv),
        "gpus": list(machine.gpus),
        "nvcc": machine.nvcc,
        "cpu": machine.cpu,
        "lc_trt": machine.lc_trt,
        "torch": torch.__version__,
        "commit": _commit(),
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(GPU)
        facts |= {
            "gpu": properties.name,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "cudnn": torch.backends.cudnn.version(),
        }
    return facts


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    except OSError:
        return None
    return done.stdout.strip() or None


def finish(main: Callable[[], int]) -> None:
    """Run the ``main`` of a script; print an `LcTrtError` as one line and exit with its code."""
    try:
        code = main()
    except LcTrtError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    sys.exit(code)
