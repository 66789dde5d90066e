"""Check the kernels on a GPU: build, tests, 1,000 random shapes, memory and race checkers.

    python tools/gpu/check.py --out DIR [--steps tests shapes memcheck racecheck] [--minutes 9]

Writes DIR/check.json and one log per step; exits with 1 if a step fails. A missing checker and a
step without time left are reported, but are not failures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gpubench import ROOT
from gpubench.machine import LIBRARY, build_harness, describe_machine, finish, require_gpu
from gpubench.timing import Budget

from lc_trt.utils.files import write_json

KERNEL_TESTS = "tests/gpu/test_gpu_kernels.py"
RANDOM = "test_conv_of_any_shape"  # 1,000 examples, against float64
CHECKERS = ("memcheck", "racecheck")
STEPS = ("tests", "shapes", *CHECKERS)
# Checkers slow kernels down by orders of magnitude, so they run one case of each kind.
CHECKED = "test_select or test_gather or test_scatter or test_restrict or test_max_pool or "
CHECKED += "test_quantize or test_conv_dilations or test_conv_odd_channels or "
CHECKED += "test_conv_replays or test_garbage"
ERRORS_FOUND = 9  # exit code of a checker with findings


@dataclass
class Outcome:
    """Outcome of a step.

    Attributes:
        step: name of the step.
        result: ``passed``, ``failed``, ``missing`` (tool not installed) or ``no time``.
        last_line: last line of its output.
    """

    step: str
    result: str
    last_line: str


def pytest_command(*arguments: str) -> list[str]:
    """pytest without warnings as errors, because package versions differ there."""
    common = ["-q", "-p", "no:cacheprovider", "-W", "default"]
    return [sys.executable, "-m", "pytest", *common, *arguments]


def command(step: str, checker: str) -> list[str]:
    """Command line of a step."""
    if step == "tests":
        return pytest_command("tests/gpu", "-k", f"not {RANDOM}")
    if step == "shapes":
        return pytest_command(KERNEL_TESTS, "-k", RANDOM)
    # Only our kernels: those of torch are numerous and slow under a checker.
    return [
        checker, "--tool", step, "--error-exitcode", str(ERRORS_FOUND), "--report-api-errors", "no",
        "--kernel-name", "kernel_substring=lc_trt", "--target-processes", "all",
        *pytest_command(KERNEL_TESTS, "-x", "-k", CHECKED),
    ]  # fmt: skip


Run = Callable[[Sequence[str], Path, float], int | None]


def run(arguments: Sequence[str], log: Path, seconds: float) -> int | None:
    """Run a command with a log file; return the exit code, None after a timeout."""
    environment = {
        **os.environ,
        "LC_TRT_HARNESS": str(LIBRARY),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with log.open("w") as file:
        try:
            done = subprocess.run(
                arguments, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment,
                timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
    return done.returncode


def perform(steps: Sequence[str], out: Path, budget: Budget, runner: Run = run) -> list[Outcome]:
    """Run all steps in order, regardless of failures."""
    outcomes = []
    for step in steps:
        checker = shutil.which("compute-sanitizer") or ""
        if step in CHECKERS and not checker:
            outcomes.append(Outcome(step, "missing", "compute-sanitizer is not on the PATH"))
            continue
        if budget.spent:
            outcomes.append(Outcome(step, "no time", f"rerun with --steps {step}"))
            continue
        log = out / f"{step}.log"
        code = runner(command(step, checker), log, budget.left)
        lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
        last_line = lines[-1] if lines else "no output"
        result = "no time" if code is None else "passed" if code == 0 else "failed"
        if result == "passed" and not any(" passed" in line for line in lines):
            result = "failed"  # pytest ran no tests
        outcomes.append(Outcome(step, result, last_line))
    return outcomes


def main() -> int:
    """Build and run all steps; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--minutes", type=float, default=9.0)
    options = parser.parse_args()
    require_gpu()
    budget = Budget(options.minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    library = build_harness(options.out / "build.log")
    outcomes = [Outcome("build", "passed", library.name)]
    outcomes += perform(options.steps, options.out, budget)
    result = {**describe_machine(), "steps": [asdict(outcome) for outcome in outcomes]}
    write_json(options.out / "check.json", result)
    for outcome in outcomes:
        print(f"{outcome.step}: {outcome.result}: {outcome.last_line}")
    return int(any(outcome.result == "failed" for outcome in outcomes))


if __name__ == "__main__":
    finish(main)
