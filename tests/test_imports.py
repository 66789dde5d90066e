"""Imports go down only; runtime, video and help load no heavy packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A part imports from itself and from parts of lower ranks, and from no other. A part is a folder
# or a module of lc_trt.
ORDER = (
    ("errors", "version"),
    ("utils", "data"),
    ("model", "bundle"),
    ("ir",),
    ("trt",),
    ("compiler", "runtime"),
    ("training", "video", "backends"),
    ("quantization",),
    ("builder",),
    ("bench", "evaluation"),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
ROOT = Path(__file__).parents[1] / "lc_trt"
# lc_trt/__init__.py names what it offers for type checkers only; a test below holds it to that.
MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a source file names in an import, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_package_has_a_rank() -> None:
    parts = {p.parent.name for p in ROOT.glob("*/__init__.py")} | {
        p.stem for p in ROOT.glob("*.py")
    }
    assert parts - {"__init__"} == set(RANK)
    assert len(ORDER) <= 12


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(ROOT).with_suffix("").parts[0]
    for name in imported(ast.parse(path.read_text())):
        parts = tuple(name.split("."))
        if parts[0] != "lc_trt" or len(parts) == 1:
            continue
        if not ((ROOT / parts[1]).is_dir() or (ROOT / f"{parts[1]}.py").is_file()):
            continue  # a name of lc_trt itself, as in `from lc_trt import load`
        other = parts[1]
        assert other == own or RANK[other] < RANK[own], f"{own} imports {name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {".".join(p.relative_to(ROOT.parent).with_suffix("").parts): p for p in MODULES}
    needed = {
        name: {other for other in imported(ast.parse(path.read_text())) if other in known} - {name}
        for name, path in known.items()
    }
    # Leaves go first, again and again; what is left are circles and what imports one.
    while leaves := [name for name, others in needed.items() if not others & needed.keys()]:
        for name in leaves:
            del needed[name]
    assert set(needed) == set()


def names(*folders: str) -> list[str]:
    """Module names of whole folders."""
    found = [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]
    paths = [p.relative_to(ROOT.parent).with_suffix("").parts for p in found]
    return [".".join(p[:-1] if p[-1] == "__init__" else p) for p in paths]


def loaded(modules: list[str], watched: tuple[str, ...]) -> str:
    """The watched packages that importing the modules loads, in a new process."""
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        f"print([name for name in {watched} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_lc_trt_loads_nothing_heavy() -> None:
    watched = ("cv2", "numpy", "onnx", "onnxruntime", "openvino", "rich", "tensorrt", "torch")
    assert loaded(["lc_trt"], watched) == "[]"


def test_runtime_video_and_evaluation_load_no_torch() -> None:
    assert loaded(names("runtime", "video", "data", "evaluation"), ("torch",)) == "[]"


def test_subcommands_load_no_torch_and_no_engine() -> None:
    # What a subcommand does not need must not cost its help, nor be needed to import it.
    assert loaded(names("cli"), ("onnxruntime", "openvino", "torch")) == "[]"
