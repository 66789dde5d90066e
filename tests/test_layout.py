"""Tests mirror the code: the tests of a module are found by its name."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"

# Folders of tests of something other than a module of lc_trt/ or tools/.
ELSEWHERE = ("docs", "gpu", "plugins")
# Subjects of the files in tests/ itself that are no module at the root of lc_trt/.
REPOSITORY = (
    "docs", "extras", "imports", "layout", "make", "package", "setup", "shipped_models",
)  # fmt: skip


def modules(folder: Path) -> set[PurePosixPath]:
    """Paths of all modules, without suffix. A package is one of its own name within itself."""
    paths = [PurePosixPath(p.relative_to(folder)).with_suffix("") for p in folder.rglob("*.py")]
    return {
        path.with_name(path.parent.name) if path.name == "__init__" else path
        for path in paths
        if path.parts[-1] != "__main__" and path != PurePosixPath("__init__")
    }


def owner(test: PurePosixPath, candidates: Set[PurePosixPath]) -> PurePosixPath | None:
    """The module that a test file belongs to; of several, the one with the longest name.

    Args:
        test: path of ``test_MODULE.py`` or ``test_MODULE_TOPIC.py``, in a folder of the module's
            name.
        candidates: paths of modules, as `modules` gives them.
    """
    words = test.stem.split("_")[1:]
    for count in range(len(words), 0, -1):
        path = test.with_name("_".join(words[:count]))
        if path in candidates:
            return path
    return None


def files_in(folder: Path) -> list[PurePosixPath]:
    return sorted(PurePosixPath(p.relative_to(folder)) for p in folder.rglob("test_*.py"))


MODULES = modules(ROOT / "lc_trt")
MIRRORING = [t for t in files_in(TESTS) if t.parts[0] not in (*ELSEWHERE, "tools")]


@pytest.mark.parametrize("test", MIRRORING, ids=str)
def test_a_test_belongs_to_a_module(test: PurePosixPath) -> None:
    if len(test.parts) == 1 and test.stem.removeprefix("test_") in REPOSITORY:
        return
    assert owner(test, MODULES) is not None, f"lc_trt/{test.parent} has no module of its name"


@pytest.mark.parametrize("test", files_in(TESTS / "tools"), ids=str)
def test_a_test_of_a_tool_belongs_to_a_module(test: PurePosixPath) -> None:
    assert owner(test, modules(ROOT / "tools")) is not None


def test_every_module_has_a_test() -> None:
    tested = {owner(test, MODULES) for test in MIRRORING}
    packages = {path for path in MODULES if path.name == path.parent.name}
    assert MODULES - packages - tested == set()


def test_everything_else_lives_in_helpers() -> None:
    others = {
        path.relative_to(TESTS)
        for path in TESTS.rglob("*.py")
        if not path.name.startswith("test_") and path.name != "conftest.py"
    }
    assert {path.parts[0] for path in others} == {"helpers"}
    assert files_in(TESTS / "helpers") == []


def test_owners(tmp_path: Path) -> None:
    for name in ("a/__init__", "a/read", "a/b/__init__", "a/b/read", "a/b/read_onnx", "__main__"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    owners = {
        "a/test_read.py": "a/read",
        "a/b/test_read_slowly.py": "a/b/read",
        "a/b/test_read_onnx_again.py": "a/b/read_onnx",
        "a/b/test_b.py": "a/b/b",
        "a/b/test_b_twice.py": "a/b/b",
        "a/test_b.py": "None",
        "a/b/test_reader.py": "None",
        "c/test_read.py": "None",
        "test_main.py": "None",
    }
    found = {test: str(owner(PurePosixPath(test), modules(tmp_path))) for test in owners}
    assert found == owners
