"""Options, markers and settings that all tests share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline, since a loaded machine is slow; derandomised, so that failures are reproducible.
settings.register_profile("lc-trt", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("lc-trt")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--camvid",
        metavar="ROOT",
        type=Path,
        default=None,
        help="the CamVid folder (train/ and val/ with images/ and labels/) for tests marked data",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {}
    if config.getoption("--camvid") is None:
        reasons["data"] = "needs the CamVid folder: --camvid ROOT"
    if not _gpu():
        reasons["gpu"] = "needs an NVIDIA GPU: nvidia-smi lists none"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):  # a parameter may have the same name
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Summarise all skipped GPU tests in one line."""
    report = yield
    if report.skipped and item.get_closest_marker("gpu") and isinstance(report.longrepr, tuple):
        report.longrepr = ("tests/gpu", None, report.longrepr[2])
    return report


def _gpu() -> bool:
    """Whether nvidia-smi lists a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return listed.returncode == 0 and "GPU" in listed.stdout


@pytest.fixture(scope="session")
def camvid(pytestconfig: pytest.Config) -> Path:
    """The CamVid folder; tests that use it are marked ``data``."""
    root = pytestconfig.getoption("--camvid")
    assert root is not None, "a test that uses the CamVid folder must be marked data"
    return Path(root)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root folder of the checkout."""
    return Path(__file__).parents[1]
