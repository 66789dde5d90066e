from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lc_trt.errors import LcTrtError
from lc_trt.runtime.native import library as module
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import (
    BUILD_COMMAND,
    ISA_VARIABLE,
    ISAS,
    PATH_VARIABLE,
    NativeLibrary,
    Pool,
    find_library,
)


def test_the_named_file_is_found_before_the_installed_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    monkeypatch.setattr(module, "HOME", tmp_path)
    assert find_library() is None
    installed, named = tmp_path / module.FILE, tmp_path / "other.so"
    installed.touch()
    assert find_library() == installed
    monkeypatch.setenv(PATH_VARIABLE, str(named))
    with pytest.raises(LcTrtError, match=r"LC_TRT_CPU_LIBRARY is .*other\.so: no such file"):
        find_library()
    named.touch()
    assert find_library() == named


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    file = tmp_path / module.FILE
    file.write_text("no library")
    with pytest.raises(LcTrtError, match="cannot be loaded") as error:
        NativeLibrary(file)
    assert BUILD_COMMAND in str(error.value)


def test_another_library_is_refused() -> None:
    with pytest.raises(LcTrtError, match="cannot be loaded"):
        NativeLibrary(Path(sys.modules["_ctypes"].__file__ or ""))


def test_another_version_is_refused(
    library: NativeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VERSION", 99)
    with pytest.raises(LcTrtError, match="is version 1, this lc-trt needs version 99"):
        NativeLibrary(library.path)


def test_instruction_sets_can_be_capped(library: NativeLibrary) -> None:
    assert library.isa == library.detected_isa
    assert library.detected_isa in ISAS
    try:
        library.limit_isa("portable")
        assert library.isa == "portable"
        assert {library.conv_isa(t) for t in ElementType} == {"portable"}
        with pytest.raises(LcTrtError, match="'sse', expected one of portable, avx2, avx512"):
            library.limit_isa("sse")
        assert library.isa == "portable"
    finally:
        library.limit_isa(None)
    assert library.isa == library.detected_isa


@pytest.mark.parametrize(("value", "expected"), [("portable", "portable\n"), ("", None)])
def test_the_environment_caps_instruction_sets(
    library: NativeLibrary, value: str, expected: str | None
) -> None:
    done = in_another_process(library, value)
    assert done.stdout == (expected or f"{library.detected_isa}\n"), done.stderr


def test_an_unknown_instruction_set_in_the_environment_is_an_error(
    library: NativeLibrary,
) -> None:
    done = in_another_process(library, "avx")
    assert "LC_TRT_CPU_ISA is 'avx', expected one of portable, avx2" in done.stderr


def in_another_process(library: NativeLibrary, isa: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from pathlib import Path;"
        "from lc_trt.runtime.native.library import NativeLibrary;"
        "print(NativeLibrary(Path(sys.argv[1])).isa)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, library.path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, ISA_VARIABLE: isa},
    )


def test_a_closed_pool_is_refused(library: NativeLibrary) -> None:
    pool = Pool(library, 1)
    pool.close()
    pool.close()
    with pytest.raises(ValueError, match="closed"):
        _ = pool.handle
