"""The Makefile lists all prerequisites."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def test_the_demo_bundle_depends_on_all_sources(repository: Path) -> None:
    done = subprocess.run(
        ["make", "--print-data-base", "--question", "--no-builtin-rules", "setup"],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    rule = next(line for line in done.stdout.splitlines() if "manifest.json:" in line)
    needed = set(rule.partition(":")[2].split())
    sources = {p.relative_to(repository).as_posix() for p in repository.glob("lc_trt/**/*.py")}
    assert sources and sources <= needed
