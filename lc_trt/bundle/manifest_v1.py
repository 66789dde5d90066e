"""Manifests of format 1, brought to the shape of format 2 before they are read.

Format 1 had ``calibration`` in three shapes, ``check`` in two, and names of its own in both.
"""

from __future__ import annotations

from typing import Any

from lc_trt.bundle.typed_json import JsonError

FORMAT = 1
_AGREEMENT = ("count", "labels", "stages", "confidence", "mean_labels", "mean_stages")
_SPEED = ("over_dense", "over_fp32")


def upgrade(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of format 2 from those of format 1; what is amiss in them is left to its reader.

    Args:
        body: the JSON object of a manifest of format 1.

    Raises:
        JsonError: a section that was reshaped has not the shape that format 1 gave it.
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
            raise JsonError(f"has {name} that is none of format {FORMAT} ({problem})") from error
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
        "fallback_precision": old.get("rest", "fp32"),  # the CPU's engines had no other
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


def _exclusions(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"layers": entry["layers"], "reason": entry["why"]} for entry in kept]


def _check(body: dict[str, Any]) -> dict[str, Any]:
    old = body["check"]
    found = old if old["checked"] else old.get("network")
    check: dict[str, Any] = dict.fromkeys(
        ("run_by", "images", "agreement", "required", "miou", "speed")
    )
    check["skip_reason"] = None if old["checked"] else old["reason"]
    if found is None:
        return check
    speed = {name: found.get(f"speed_{name}") for name in _SPEED}
    return check | {
        "run_by": found.get("run_by", body["backend"]),
        "images": found["images"],
        # Older builds did not count what is not finite.
        "agreement": {"non_finite": found.get("non_finite", 0)}
        | {name: found[name] for name in _AGREEMENT},
        "required": found.get("required"),
        "miou": found.get("miou"),
        "speed": speed if None not in speed.values() else None,
    }


def _reuse(body: dict[str, Any]) -> dict[str, Any] | None:
    return None if body["reuse"] is None else {"inputs": body["reuse"]}
