"""docs/exact-regions.svg is up to date."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def test_the_committed_picture_is_the_drawn_one(repository: Path, tmp_path: Path) -> None:
    script, drawn = repository / "tools" / "draw_neighbours.py", tmp_path / "drawn.svg"
    subprocess.run([sys.executable, script, drawn], check=True)
    ET.parse(drawn)
    assert drawn.read_text() == (repository / "docs" / "exact-regions.svg").read_text()


def test_a_file_must_be_named(repository: Path) -> None:
    script = repository / "tools" / "draw_neighbours.py"
    run = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("usage:")
