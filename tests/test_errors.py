"""Exit codes of the command line."""

from __future__ import annotations

from lc_trt.errors import LcTrtError, UsageError


def test_usage_exits_with_2_and_failure_with_1() -> None:
    assert (LcTrtError.exit_code, UsageError.exit_code) == (1, 2)
    # One handler catches both.
    assert issubclass(UsageError, LcTrtError)
