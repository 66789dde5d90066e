"""Links and commands in documents exist, and no file contains local paths."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from lc_trt.cli.app import SUBCOMMANDS, app, load_subcommand

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def tracked() -> list[Path]:
    """Files that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


DOCUMENTS = [path for path in tracked() if path.suffix == ".md"]


def anchors(document: Path) -> set[str]:
    """Anchors of a document's headings."""
    headings = re.findall(r"^#+ +(.+)$", document.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def commands(text: str) -> list[list[str]]:
    """The `lc-trt` commands in a document's code blocks, as argument lists without `lc-trt`."""
    found = []
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|\|(?!\S)|;|#", line):
                words = shlex.split(command.strip().removeprefix("$ "))
                if words[:1] == ["lc-trt"]:
                    found.append(words[1:])
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_relative_links_exist(path: Path) -> None:
    for groups in LINK.findall(path.read_text()):
        target = groups[0] or groups[1]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{target}: no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_and_their_options_exist(path: Path) -> None:
    for words in commands(path.read_text()):
        assert words, "lc-trt alone shows nothing"
        if words[0].startswith("-"):
            continue
        assert words[0] in SUBCOMMANDS, f"no subcommand {words[0]}"
        known = options_of(words[0])
        used = {w.partition("=")[0] for w in words[1:] if re.match(r"--?[A-Za-z]", w)}
        assert used <= known, f"lc-trt {words[0]} has no {', '.join(sorted(used - known))}"


@cache
def options_of(subcommand: str) -> set[str]:
    known = {"--help", "-h"}
    for parameter in load_subcommand(subcommand).params:
        known.update(parameter.opts, parameter.secondary_opts)
    return known


def test_commands_in_messages_exist() -> None:
    for path in (ROOT / "lc_trt").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            for command in re.findall(r"lc-trt ((?:[a-z]+)(?: [^\n'`;,:()]+)?)", node.value):
                subcommand, *words = command.split()
                if subcommand not in SUBCOMMANDS:
                    continue  # as in "lc-trt reads format 2"
                used = {found[0] for word in words if (found := re.match(r"--[a-z0-9-]+", word))}
                assert used <= options_of(subcommand), f"{path.name}: lc-trt {command}"


def test_the_readme_shows_every_subcommand() -> None:
    shown = {words[0] for words in commands((ROOT / "README.md").read_text())}
    assert set(SUBCOMMANDS) <= shown
    assert {command.name for command in app.registered_commands} == set(SUBCOMMANDS)


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "lc_trt"
    folders = {f"`{path.parent.name}/`" for path in package.glob("*/__init__.py")}
    modules = {f"`{path.name}`" for path in package.glob("[a-z]*.py")}
    assert {part for part in folders | modules if part not in text} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_make_targets_exist(path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in FENCE.findall(path.read_text()):
        for target in re.findall(r"^make ([a-z]+)", block, re.MULTILINE):
            assert target in targets


def test_no_local_path_is_in_the_tree() -> None:
    # Where this checkout lies, and the usual places of home folders.
    here = [re.escape(f"{folder}/") for folder in (ROOT, Path.home()) if len(folder.parts) > 1]
    folders = "|".join([*here, "/(?:home|Users)/"])
    pattern = re.compile(rf"(?<![\w.])(?:{folders})")
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            found = pattern.search(content.decode(errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)}: {found and found.group()}"


def test_no_file_is_large() -> None:
    large = {p.relative_to(ROOT).as_posix(): p.stat().st_size for p in tracked()}
    assert {name: size for name, size in large.items() if size > 12_000_000} == {}


def test_every_folder_says_what_may_live_there() -> None:
    sources = [p for p in tracked() if p.relative_to(ROOT).parts[0] in ("lc_trt", "plugins")]
    folders = {parent for p in sources for parent in p.parents if ROOT in parent.parents}
    missing = [f for f in folders if "What may live here" not in (f / "README.md").read_text()]
    assert missing == []
