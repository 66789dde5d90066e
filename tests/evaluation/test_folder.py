"""Folders are written atomically."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lc_trt.errors import LcTrtError
from lc_trt.evaluation.folder import check_out, write_folder

OLD = {"a.txt": b"old", "mark": b"old"}
NEW = {"a.txt": b"new", "mark": b"new"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_new_empty_and_earlier_folders_are_accepted(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    write_folder(out, OLD, "mark")
    assert content(out) == OLD
    write_folder(out, {"mark": b"new"}, "mark")
    assert content(out) == {"mark": b"new"}  # nothing of the earlier one is left
    empty = tmp_path / "empty"
    empty.mkdir()
    write_folder(empty, NEW, "mark")
    assert content(empty) == NEW
    assert sorted(path.name for path in tmp_path.rglob("*.partial*")) == []


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    check_out(Path("."), "mark")
    write_folder(Path("out"), NEW, "mark")
    assert content(tmp_path / "here" / "out") == NEW


@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_failure_leaves_the_old_folder(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_folder(out, OLD, "mark")
    name = {"write": "write_bytes", "rename": "rename"}[step]
    right = getattr(Path, name)

    def fail(self: Path, *rest: object) -> object:
        # The second file, and the move of the new folder to its place.
        if self.name == "mark" or (self.name.endswith(".partial") and rest == (out,)):
            raise OSError(28, "No space left on device")
        return right(self, *rest)

    monkeypatch.setattr(Path, name, fail)
    with pytest.raises(LcTrtError, match=r"out: cannot be written \(No space left on device\)"):
        write_folder(out, NEW, "mark")
    monkeypatch.undo()
    assert content(out) == OLD
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("check", [True, False])
def test_foreign_files_and_folders_are_refused_and_kept(check: bool, tmp_path: Path) -> None:
    file, foreign = tmp_path / "file", tmp_path / "foreign"
    file.write_text("mine")
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    for out, line in ((file, "a file is in the way"), (foreign, "holds other files and no mark")):
        with pytest.raises(LcTrtError, match=line):
            check_out(out, "mark") if check else write_folder(out, NEW, "mark")
    assert file.read_text() == (foreign / "thesis.tex").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["file", "foreign"]


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LcTrtError, match="cannot be written"):
        check_out(tmp_path / "file" / "out", "mark")


def test_checking_leaves_nothing(tmp_path: Path) -> None:
    check_out(tmp_path / "out", "mark")
    assert os.listdir(tmp_path) == []
