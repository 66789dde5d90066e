"""Errors a person is meant to read: one line, what was found, what mends it."""

from __future__ import annotations


class LcTrtError(Exception):
    """Something failed that the user can act on. The command line prints it and exits with 1."""

    exit_code = 1


class UsageError(LcTrtError):
    """Wrong arguments. The command line prints it and exits with 2."""

    exit_code = 2
