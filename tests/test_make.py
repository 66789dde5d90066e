"""The Makefile lists all prerequisites, and the demo's commands fit its network and its video."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


STRIDE = 32  # of the deepest features of an encoder
VIDEO = (272, 640)  # of the demo, height and width


def test_the_demo_bundle_depends_on_all_sources(repository: Path) -> None:
    done = subprocess.run(
        ["make", "--print-data-base", "--question", "--no-builtin-rules", "setup"],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    rule = next(line for line in done.stdout.splitlines() if "manifest.json:" in line)
    needed = set(rule.partition(":")[2].split())
    sources = {p.relative_to(repository).as_posix() for p in repository.glob("lc_trt/**/*.py")}
    assert sources and sources <= needed


def test_the_demo_runs_a_shipped_network_at_a_size_that_suits_it(repository: Path) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "demo"],
        cwd=repository, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = re.findall(r"lc-trt (.*)", done.stdout.replace("\\\n", " "))
    build, *others = (shlex.split(line) for line in lines)
    assert build[0] == "build" and (repository / build[1]).is_file()
    size = build[build.index("--size") + 1]
    height, width = map(int, size.split("x"))
    assert height % STRIDE == width % STRIDE == 0
    assert abs(width / height / (VIDEO[1] / VIDEO[0]) - 1) < 0.03
    bundle = build[build.index("-o") + 1]
    assert f"beside_dense.py {bundle} " in done.stdout
    assert others and all(words[1] == bundle for words in others)
    (bench,) = (words for words in others if words[0] == "bench")
    assert bench[bench.index("--size") + 1] == size
