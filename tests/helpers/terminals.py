"""A fixture: a terminal in the place of stderr, for progress bars."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lc_trt.cli import console


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What was written to the terminal."""
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=160, color_system=None)
    monkeypatch.setattr(console, "err", lambda: terminal)
    monkeypatch.setattr(console.settings, "quiet", False)
    return written
