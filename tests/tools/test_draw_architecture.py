"""docs/architecture.svg is up to date."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def test_the_committed_picture_is_the_drawn_one(repository: Path, tmp_path: Path) -> None:
    script, drawn = repository / "tools" / "draw_architecture.py", tmp_path / "drawn.svg"
    subprocess.run([sys.executable, script, drawn], check=True)
    ET.parse(drawn)
    assert drawn.read_text() == (repository / "docs" / "architecture.svg").read_text()
