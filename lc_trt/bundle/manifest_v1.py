"""Conversion of manifests from format 1 to format 2.

Format 1 had three layouts of ``calibration`` and two of ``check``, with other key names.
"""

from __future__ import annotations

from typing import Any

from lc_trt.bundle.typed_json import JsonError

FORMAT = 1
_AGREEMENT = ("count", "labels", "stages", "confidence", "mean_labels", "mean_stages")
_SPEED = ("over_dense", "over_fp32")


def upgrade(body: dict[str, Any]) -> dict[str, Any]:
    """Convert a manifest of format 1. Values are validated later, by the reader of format 2.

    Args:
        body: JSON object of format 1.

    Returns:
        JSON object of format 2.

    Raises:
        JsonError: a section does not have the layout of format 1.
    """
    upgraded = dict(body)
    reshaped = {"calibration": _calibration, "check": _check, "reuse": _reuse}
    for name in ("backend", "precision", *reshaped):
        if name not in body:
            raise JsonError(f"lacks {name!r}")
    for name, reshape in reshaped.items():
        try:
            upgraded[name] = reshape(body)
        except (AttributeError, KeyError, TypeError) as error:
            problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise JsonError(f"has an invalid {name} for format {FORMAT} ({problem})") from error
    return upgraded


def _calibration(body: dict[str, Any]) -> dict[str, Any] | None:
    old = body["calibration"]
    if old is None:
        return None
    if body["precision"] != "int8":
        return {"int8": None, "fp16": _fp16(old)}
    table = {k: v for k, v in old.items() if k not in ("kept", "keep", "rest", "overflow")}
    int8 = {
        "table": table,
        "fallback_precision": old.get("rest", "fp32"),  # the only fallback of the CPU backends
        "excluded": _exclusions(old["kept"]),
        "excluded_convolutions": old["keep"],
    }
    return {"int8": int8, "fp16": _fp16(old["overflow"]) if "overflow" in old else None}


def _fp16(old: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": old["source"],
        "images": old["images"],
        "excluded": _exclusions(old["kept"]),
    }


def _exclusions(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"layers": entry["layers"], "reason": entry["why"]} for entry in entries]


def _check(body: dict[str, Any]) -> dict[str, Any]:
    old = body["check"]
    compared = old if old["checked"] else old.get("network")
    check: dict[str, Any] = dict.fromkeys(
        ("run_by", "images", "agreement", "required", "miou", "speed")
    )
    check["skip_reason"] = None if old["checked"] else old["reason"]
    if compared is None:
        return check
    speed = {name: compared.get(f"speed_{name}") for name in _SPEED}
    return check | {
        "run_by": compared.get("run_by", body["backend"]),
        "images": compared["images"],
        # Older builds did not count non-finite confidences.
        "agreement": {"non_finite": compared.get("non_finite", 0)}
        | {name: compared[name] for name in _AGREEMENT},
        "required": compared.get("required"),
        "miou": compared.get("miou"),
        "speed": speed if None not in speed.values() else None,
    }


def _reuse(body: dict[str, Any]) -> dict[str, Any] | None:
    return None if body["reuse"] is None else {"inputs": body["reuse"]}
