"""Every extra that a message or document mentions exists and has the right packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from lc_trt.utils.machine import _PACKAGES

NAMED = re.compile(r"(?:lc-trt|'\.)\[([\w,-]+)\]")


@pytest.fixture(scope="module")
def extras(repository: Path) -> dict[str, list[str]]:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    found: dict[str, list[str]] = project["optional-dependencies"]
    return found


def test_every_mentioned_extra_exists(repository: Path, extras: dict[str, list[str]]) -> None:
    files = [
        *(repository / "lc_trt").rglob("*.py"),
        *repository.glob("*.md"),
        repository / "Makefile",
    ]
    files += (repository / "docs").rglob("*.md")
    named = {
        (extra, path.name)
        for path in files
        for names in NAMED.findall(path.read_text())
        for extra in names.split(",")
    }
    assert {"tensorrt", "pycuda", "train", "bench"} <= {extra for extra, _ in named}
    assert sorted((extra, path) for extra, path in named if extra not in extras) == []


def test_a_gpu_is_used_through_tensorrt_and_cuda_python(extras: dict[str, list[str]]) -> None:
    brought = {re.split(r"[<>=!~\[; ]", entry)[0] for entry in extras["tensorrt"]}
    assert brought == {"tensorrt", "cuda-python"}
    assert "lc-trt[tensorrt]" in extras["pycuda"]
    assert any(entry.startswith("pycuda") for entry in extras["pycuda"])


def test_packages_of_doctor_are_in_the_extras_that_it_names(extras: dict[str, list[str]]) -> None:
    distributions = {"cuda": "cuda-python", "skimage": "scikit-image"}
    for module, _, command, required in _PACKAGES:
        (extra,) = NAMED.findall(command) or [None]
        if required or extra is None:
            continue
        package = distributions.get(module, module)
        assert any(re.match(rf"{package}\b", entry) for entry in extras[extra]), module
