"""Commands that fail with one line."""

from __future__ import annotations

import pytest

from lc_trt.cli import app


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code of a command, and the line that it prints on stderr."""
    capsys.readouterr()
    code = app.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1, captured.err
    return code, captured.err
