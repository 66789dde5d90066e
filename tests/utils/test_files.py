"""Files are written whole, or what was there stays."""

from pathlib import Path

import pytest

from lc_trt.errors import LcTrtError
from lc_trt.utils.files import write_whole


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path):
    path = tmp_path / "table.json"
    path.write_text("old")
    write_whole(path, b"new", "choose another")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("option", ["", "--plot"])
def test_what_cannot_be_written_is_one_line_with_the_option(tmp_path, option):
    path = tmp_path / "none" / "table.json"
    with pytest.raises(LcTrtError) as caught:
        write_whole(path, b"new", "choose another", option=option)
    message = str(caught.value)
    assert message.startswith(f"{option} {path}: cannot be written (No such file".strip())
    assert message.endswith("; choose another")
    assert "\n" not in message


def test_an_interrupted_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    path.write_text("old")

    def interrupted(partial, _target):
        assert partial.read_bytes() == b"new"
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new", "choose another")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_said_and_left(tmp_path):
    path = tmp_path / "table.json"
    path.mkdir()
    with pytest.raises(LcTrtError, match="cannot be written"):
        write_whole(path, b"new", "choose another")
    assert list(tmp_path.iterdir()) == [path]
