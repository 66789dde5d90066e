"""Files and folders appear whole, or what was there stays."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lc_trt.errors import LcTrtError
from lc_trt.utils.files import (
    PartialFile,
    atomic_file,
    atomic_folder,
    atomic_write,
    check_file,
    write_json,
)

ROOT = Path(__file__).parents[2]
# Who may write without a rename: the mechanism itself, and those that fill an `atomic_folder`.
FREE = {"utils/files.py", "bundle/bundle.py", "evaluation/folder.py"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with old content."""
    path = tmp_path / "table.json"
    path.write_text("old")
    return path


def test_a_file_is_replaced_and_nothing_stays_beside_it(path: Path) -> None:
    atomic_write(path, b"new", "choose another")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


def test_json_is_indented_and_ends_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    write_json(path, {"a": [1]}, parents=True)
    assert path.read_text() == '{\n  "a": [\n    1\n  ]\n}\n'
    assert json.loads(path.read_text()) == {"a": [1]}


@pytest.mark.parametrize("option", ["", "--plot"])
def test_an_unwritable_file_is_one_line_with_the_option(tmp_path: Path, option: str) -> None:
    path = tmp_path / "none" / "table.json"
    for attempt in (check_file, lambda *a, **k: atomic_write(a[0], b"new", *a[1:], **k)):
        with pytest.raises(LcTrtError) as caught:
            attempt(path, "choose another", option=option)
        message = str(caught.value)
        assert message.startswith(f"{option} {path}: cannot be written (No such file".strip())
        assert message.endswith("; choose another")
        assert "\n" not in message


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError(28, "disk full")])
def test_an_interrupted_write_leaves_what_was_there(
    path: Path, error: type[BaseException] | OSError
) -> None:
    expected = LcTrtError if isinstance(error, OSError) else error
    with pytest.raises(expected), atomic_file(path, "choose another") as partial:
        partial.write_bytes(b"half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("attempt", [check_file, PartialFile])
def test_a_folder_in_the_way_is_named_and_stays(tmp_path: Path, attempt) -> None:
    folder = tmp_path / "table.json"
    folder.mkdir()
    with pytest.raises(LcTrtError, match="cannot be written"):
        attempt(folder, "choose another")
    assert os.listdir(tmp_path) == [folder.name]


def test_a_check_leaves_nothing(path: Path) -> None:
    check_file(path, "choose another")
    check_file(path.with_name("other"), "choose another")
    assert os.listdir(path.parent) == [path.name] and path.read_text() == "old"


def test_the_temporary_file_has_the_suffix_and_is_hidden(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "film.mp4", "choose another") as partial:
        assert partial.suffix == ".mp4" and partial.name.startswith(".")
        assert partial.parent == tmp_path  # a rename across file systems is no rename


@pytest.mark.parametrize(("exclusive", "left"), [(True, 1), (False, 2)])
def test_an_exclusive_writer_removes_what_a_killed_one_left(
    path: Path, exclusive: bool, left: int
) -> None:
    script = f"""
import os, signal
from pathlib import Path
from lc_trt.utils.files import atomic_file
with atomic_file(Path({str(path)!r}), "", exclusive={exclusive}) as partial:
    partial.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old" and len(os.listdir(path.parent)) == 2
    with atomic_file(path, "", exclusive=exclusive) as partial:
        partial.write_bytes(b"new")
    assert path.read_text() == "new" and len(os.listdir(path.parent)) == left


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_folder_that_cannot_be_completed_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = tmp_path / "report"
    with atomic_folder(folder, "choose another") as partial:
        (partial / "a").write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        rename = Path.rename
        monkeypatch.setattr(
            Path,
            "rename",
            lambda self, to: fail() if self.suffix == ".partial" else rename(self, to),
        )
    with (
        pytest.raises(LcTrtError, match=r"report: cannot be written \(No space.*choose another"),
        atomic_folder(folder, "choose another") as partial,
    ):
        (partial / "a").write_text("new")
    assert (folder / "a").read_text() == "old" and os.listdir(tmp_path) == ["report"]


def writes(tree: ast.AST) -> Iterator[str]:
    """What a source file calls that puts content under its final name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, owner = node.func.attr, ast.unparse(node.func.value)
            if (
                name in ("write_bytes", "write_text", "imwrite")
                or (owner, name) in (("os", "replace"), ("os", "rename"))
                or ((owner, name) == ("onnx", "save"))
            ) and owner != "partial":
                yield f"{owner}.{name}"


def test_all_of_the_package_writes_through_here() -> None:
    calls_by_file = {
        name: list(writes(ast.parse(file.read_text())))
        for file in sorted((ROOT / "lc_trt").rglob("*.py"))
        if (name := file.relative_to(ROOT / "lc_trt").as_posix()) not in FREE
    }
    assert {name: calls for name, calls in calls_by_file.items() if calls} == {}
