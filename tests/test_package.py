"""Contents of the wheel and the sdist, and the installed wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import lc_trt

LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "*.so",
    "build",
    "demo",
    "runs",
)

# Drives the kernels in tests only.
CHECKOUT_ONLY = {"CMakePresets.json", "check", "emulator", "harness"}


@pytest.fixture(scope="module")
def source(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, for builds to write into."""
    copy = tmp_path_factory.mktemp("source") / "lc-trt"
    return Path(shutil.copytree(repository, copy, ignore=LEFT_OUT))


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source]
    # Compiling the plugins takes a minute, and other tests do it.
    environment = {**os.environ, "LC_TRT_BUILD_PLUGIN": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_holds_the_package_and_nothing_else(built: Path, source: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"lc_trt-{lc_trt.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {n for n in names if not n.startswith(f"lc_trt-{lc_trt.__version__}.dist-info/")}
    modules = {p.relative_to(source).as_posix() for p in (source / "lc_trt").rglob("*.py")}
    plugins = {
        f"lc_trt/plugins/source/{p.relative_to(source / 'plugins').as_posix()}"
        for p in (source / "plugins").rglob("*")
        if p.is_file() and CHECKOUT_ONLY.isdisjoint(p.relative_to(source / "plugins").parts)
    }
    others = {"lc_trt/py.typed", "lc_trt/evaluation/report.html.j2"}
    assert "lc_trt/plugins/source/CMakeLists.txt" in plugins
    assert package == modules | plugins | others
    for text in ("LICENSE", "NOTICE"):
        assert any(n.endswith(f"dist-info/licenses/{text}") for n in names)


def test_the_sdist_builds_without_tests_models_and_documents(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {n.partition("/")[2] for n in archive.getnames()}
    tops = {n.partition("/")[0] for n in names if n}
    assert tops == {
        "CHANGELOG.md", "LICENSE", "MANIFEST.in", "NOTICE", "PKG-INFO", "README.md", "lc_trt",
        "lc_trt.egg-info", "plugins", "pyproject.toml", "setup.cfg", "setup.py",
    }  # fmt: skip
    assert "lc_trt/cli/app.py" in names


def test_the_wheel_installs_and_runs(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps"]
    subprocess.run(
        [*pip, "--no-index", "--target", tmp_path, wheel], capture_output=True, check=True
    )
    command = tmp_path / "bin" / "lc-trt"
    # -I keeps this checkout out of the path: what runs is what was installed.
    code = (
        f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = ['--help'];"
        f"runpy.run_path({str(command)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Commands:" in done.stdout


def test_the_notice_names_every_package_with_weights(repository: Path) -> None:
    from lc_trt.model.encoders.weights import PACKAGES

    notice = (repository / "NOTICE").read_text()
    for package in PACKAGES.values():
        assert f"  {package} {version(package)}\n" in notice
