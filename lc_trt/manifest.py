"""The manifest of a bundle: its fields, and their checked way to and from JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from lc_trt import __version__

FORMAT = 1


class ManifestError(ValueError):
    """A manifest that cannot be used; the message continues a sentence about the file."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    Attributes:
        backend: the engine it was compiled for, and the version it was checked with.
        kind: ``cascade`` or ``dense``.
        name: the network, ``irnet-small`` for one.
        model_sha256: hash of the exchange ONNX it was built from.
        classes: names by label value.
        colours: RGB, 0 to 255, by label value.
        size: the engine's input, (height, width) in pixels.
        batch: images a pass.
        default_rho: thresholds of boundaries 1|2 and 2|3 (None for a dense network).
        fast_rho: the same for ``rho="fast"``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        gpu: what GPU the engine is for, where it needs one.
        plugin: name, version and hash of the plugin library, where it needs one.
        calibration: how an INT8 engine was calibrated, which layers were kept in FP32 and why.
        check: results of the comparison after the build.
        trained: facts of the model card, None for untrained weights.
        files: SHA-256 by file name; `write_bundle` fills it in.
        created: UTC, ISO 8601.
    """

    backend: str
    backend_version: str
    kind: str
    name: str
    model_sha256: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    batch: int = 1
    default_rho: tuple[float, float] | None = None
    fast_rho: tuple[float, float] | None = None
    precision: str = "fp32"
    gpu: dict[str, Any] | None = None
    plugin: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    check: dict[str, Any] = field(default_factory=dict)
    trained: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    lc_trt_version: str = __version__
    format: int = FORMAT

    def dumps(self) -> str:
        """The manifest as JSON text."""
        # The version first: it decides how the rest is read.
        body = {"format": self.format, "lc_trt_version": self.lc_trt_version, **asdict(self)}
        return json.dumps(body, indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> Manifest:
        """Read JSON text; `ManifestError` says what is wrong with it."""
        try:
            body = json.loads(text)
        except json.JSONDecodeError as error:
            raise ManifestError(f"is not JSON ({error})") from error
        if not isinstance(body, dict) or not isinstance(body.get("format"), int):
            raise ManifestError('is no manifest (expected a JSON object with "format")')
        if body["format"] != FORMAT:
            raise ManifestError(
                f"has format {body['format']} (written by lc-trt {body.get('lc_trt_version')}), "
                f"lc-trt {__version__} reads format {FORMAT}"
            )
        known = {f.name for f in fields(cls)}
        missing = sorted(known - set(body))
        if missing:
            raise ManifestError(f"lacks {missing[0]!r}")
        try:
            manifest = cls(
                **{name: body[name] for name in known - _TUPLES},
                classes=tuple(map(str, body["classes"])),
                colours=tuple(_integers(c, 3) for c in body["colours"]),  # type: ignore[misc]
                size=_integers(body["size"], 2),  # type: ignore[arg-type]
                default_rho=_pair(body["default_rho"]),
                fast_rho=_pair(body["fast_rho"]),
            )
            manifest._check()
        except (TypeError, ValueError, AttributeError) as error:
            raise ManifestError(f"has a value that makes no sense ({error})") from error
        return manifest

    def _check(self) -> None:
        rhos = (self.default_rho, self.fast_rho)
        rules = {
            "kind": self.kind in ("cascade", "dense"),
            "size": min(self.size) >= 1,
            "batch": type(self.batch) is int and self.batch >= 1,
            "classes": 1 <= len(self.classes) <= 255,
            "colours": len(self.colours) == len(self.classes)
            and all(0 <= v <= 255 for c in self.colours for v in c),
            "default_rho": (self.kind == "cascade") == (self.default_rho is not None),
            "fast_rho": (self.kind == "cascade") == (self.fast_rho is not None),
            # A name with a path in it would reach outside the bundle.
            "files": all(
                re.fullmatch(r"[\w-][\w.-]*", name) and re.fullmatch(r"[0-9a-f]{64}", value)
                for name, value in self.files.items()
            ),
        }
        for name, holds in rules.items():
            if not holds:
                raise ValueError(f"{name} {getattr(self, name)!r}")
        for rho in rhos:
            if rho is not None and not all(0 <= r <= 1 for r in rho):
                raise ValueError(f"rho {rho}, expected 0 to 1")


_TUPLES = {"classes", "colours", "size", "default_rho", "fast_rho"}


def _integers(values: Any, count: int) -> tuple[int, ...]:
    if len(values) != count or not all(type(v) is int for v in values):
        raise ValueError(f"{values!r}, expected {count} whole numbers")
    return tuple(values)


def _pair(values: Any) -> tuple[float, float] | None:
    if values is None:
        return None
    first, second = values
    return float(first), float(second)
