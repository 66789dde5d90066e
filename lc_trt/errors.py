"""Errors shown to the user: one line that says what was found and how to fix it."""

from __future__ import annotations


class LcTrtError(Exception):
    """An error that the user can fix. The command line prints it and exits with code 1."""

    exit_code = 1


class UsageError(LcTrtError):
    """Invalid arguments. The command line prints it and exits with code 2."""

    exit_code = 2
