"""Conversion of manifests from format 2 to format 3, which added ``bound``."""

from __future__ import annotations

from typing import Any

FORMAT = 2


def upgrade(body: dict[str, Any]) -> dict[str, Any]:
    """Convert a manifest of format 2. Values are validated later, by the reader of format 3.

    Args:
        body: JSON object of format 2.

    Returns:
        JSON object of format 3.
    """
    return {**body, "bound": None}
