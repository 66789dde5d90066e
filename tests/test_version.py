"""Package, metadata and changelog have the same version."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import lc_trt
from lc_trt.version import __version__


def test_package_and_module_have_the_same_version() -> None:
    assert lc_trt.__version__ == __version__ == version("lc-trt")


def test_the_changelog_contains_the_version(repository: Path) -> None:
    headings = re.findall(r"^## (.+)$", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert any(__version__ in heading.split() for heading in headings), headings
