"""Tables of operators in documents follow the schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_committed_tables_are_the_written_ones(repository: Path) -> None:
    done = run(repository / "tools" / "write_operator_tables.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_table_out_of_date_is_named_and_rewritten(repository: Path, tmp_path: Path) -> None:
    """On a copy of the documents with one outdated table."""
    script = tmp_path / "tools" / "write_operator_tables.py"
    documents = [*repository.glob("plugins/*/README.md"), repository / "docs/exchange-format.md"]
    for path in (*documents, repository / "tools" / "write_operator_tables.py"):
        copy = tmp_path / path.relative_to(repository)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    stale = tmp_path / "plugins" / "region_conv" / "README.md"
    right = stale.read_text()
    stale.write_text(right.replace("| `weight_layout` | int, 0 |", "| `weight_layout` | int, 1 |"))
    checked = run(script, "--check")
    assert (checked.returncode, len(checked.stdout.splitlines())) == (1, 1)
    assert checked.stdout.startswith("plugins/region_conv/README.md: out of date; python tools/")
    assert run(script).returncode == 0 and stale.read_text() == right
    assert run(script, "--chekc").returncode == 2
