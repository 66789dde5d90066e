"""The plugin library is identified by its marker, and foreign files are refused unloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_library import library_bytes
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.errors import LcTrtError
from lc_trt.trt.plugin_library import FILE, find_library, open_library, read_library


@given(
    code=st.sets(st.tuples(st.sampled_from([1, 2]), st.integers(50, 130)), max_size=6),
    version=st.integers(0, 999),
)
def test_version_and_architectures_are_read(
    tmp_path_factory: pytest.TempPathFactory, code: set[tuple[int, int]], version: int
) -> None:
    path = tmp_path_factory.mktemp("library") / "any.so"
    path.write_bytes(library_bytes(version, tuple(code)))
    library = read_library(path)
    assert library.version == str(version)
    assert set(library.architectures) == {
        f"{'compute' if kind == 1 else 'sm'}_{sm}" for kind, sm in code
    }
    assert library.manifest_entry().sha256 == library.sha256


def test_a_library_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(library_bytes(2))
    with pytest.raises(
        LcTrtError, match=r"has plugins of version 2, this lc-trt needs version 1.*plugin build"
    ):
        open_library(path)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"lc_trt plugins, version 1\0", b"x" * 4096])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    with pytest.raises(LcTrtError, match=r"is no plugin library of lc-trt.*lc-trt plugin build"):
        open_library(path)


@given(cut=st.integers(0, 400))
def test_a_truncated_library_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("library") / "cut.so"
    path.write_bytes(library_bytes()[:cut])
    try:
        assert read_library(path).version == "1"
    except LcTrtError as error:
        assert "is no plugin library" in str(error)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lc_trt.trt.plugin_library.HOME", tmp_path)
    assert find_library() is None
    with pytest.raises(LcTrtError, match=r"was not compiled.*lc-trt plugin build"):
        open_library()
    with pytest.raises(LcTrtError, match=r"no\.so: cannot be read \(No such file"):
        open_library(tmp_path / "no.so")
    (tmp_path / FILE).write_bytes(library_bytes())
    assert open_library().path == tmp_path / FILE
