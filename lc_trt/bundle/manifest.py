"""The manifest of a bundle: its fields, and their checked way to and from JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from lc_trt.version import __version__

FORMAT = 1


class ManifestError(ValueError):
    """A manifest that cannot be used; the message continues a sentence about the file."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _unchecked() -> dict[str, Any]:
    return {"checked": False, "reason": "not compared with another engine"}


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
        size: the engine's input, (height, width) in pixels; of a size profile, its optimum.
        batch: images a pass; of a batch profile, its optimum.
        default_rho: thresholds of boundaries 1|2 and 2|3 (None for a dense network).
        fast_rho: the same for ``rho="fast"``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        gpu: ``name`` and ``compute_capability`` ("8.9") of the GPU that a TensorRT engine was
            built on; None where it was built without one, and for other backends.
        plugin: ``name``, ``version``, ``sha256`` and ``file`` (in the bundle) of the plugin
            library; None where the engine needs none.
        tensorrt: how TensorRT built the engine: ``package`` (``tensorrt`` or ``tensorrt_rtx``),
            ``version``, ``compute_capabilities`` asked for (["8.9"]; empty where the engine is
            for ``gpu`` only) and the builder options; None for other backends.
        batch_profile: ``min``, ``opt`` and ``max`` images a pass; None where ``batch`` is fixed.
        size_profile: ``min``, ``opt`` and ``max``, each [height, width]; None where ``size`` is
            fixed.
        calibration: how an INT8 engine was calibrated, or on which images an FP16 engine's values
            were measured, which layers were kept in FP32 and why; None for others.
        reuse: of an engine that lets frames reuse results: the shapes of its extra inputs by name
            (`lc_trt.ir.interface`; each ``past_*`` has an output ``present_*``); None for others.
        check: the comparison after the build: ``checked``; then, if False, the ``reason``; if
            True, ``images``, the figures of `lc_trt.runtime.compare_engines.Agreement`, and what
            decided: ``required`` (the share that has to agree) or ``miou`` (``fp32``, ``int8`` and
            ``drop`` in points); of a cascade in reduced precision also ``speed_over_dense`` and
            ``speed_over_fp32``. Of an INT8 engine that could not run where it was built ``network``
            has these figures of its network instead, and who ran it (``run_by``).
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
    tensorrt: dict[str, Any] | None = None
    batch_profile: dict[str, int] | None = None
    size_profile: dict[str, tuple[int, int]] | None = None
    calibration: dict[str, Any] | None = None
    reuse: dict[str, list[int]] | None = None
    check: dict[str, Any] = field(default_factory=_unchecked)
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

    @property
    def check_summary(self) -> str:
        """What the comparison after the build found, in words."""
        check = self.check
        if not check["checked"]:
            said = f"not checked: {check['reason']}"
            if "network" in check:
                said += f"; its network, run by ONNX Runtime, {_agrees('FP32', check['network'])}"
            return said
        return _agrees("ONNX Runtime", check)

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
                size_profile=_sizes(body["size_profile"]),
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
            "batch_profile": _is_profile(self.batch_profile, lambda b: (b,), (self.batch,)),
            "size_profile": _is_profile(self.size_profile, tuple, self.size),
            "tensorrt": (self.backend == "tensorrt") == (self.tensorrt is not None)
            and _has_text(self.tensorrt, "package", "version"),
            "gpu": _has_text(self.gpu, "name", "compute_capability"),
            "plugin": _has_text(self.plugin, "name", "version", "sha256", "file")
            and (self.plugin is None or self.plugin["file"] in self.files or not self.files),
            "reuse": self.reuse is None
            or all(_integers(shape, len(shape)) for shape in self.reuse.values()),
            "check": type(self.check.get("checked")) is bool,
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


def _agrees(reference: str, figures: Mapping[str, Any]) -> str:
    return (
        f"agrees with {reference} on {figures['labels']:.2%} of labels, "
        f"{figures['stages']:.2%} of stages ({figures['count']} passes, {figures['images']})"
    )


_TUPLES = {"classes", "colours", "size", "size_profile", "default_rho", "fast_rho"}
_PROFILE = ("min", "opt", "max")


def _integers(values: Any, count: int) -> tuple[int, ...]:
    if len(values) != count or not all(type(v) is int for v in values):
        raise ValueError(f"{values!r}, expected {count} whole numbers")
    return tuple(values)


def _pair(values: Any) -> tuple[float, float] | None:
    if values is None:
        return None
    first, second = values
    return float(first), float(second)


def _sizes(values: Any) -> dict[str, tuple[int, int]] | None:
    if values is None:
        return None
    return {name: _integers(size, 2) for name, size in values.items()}  # type: ignore[misc]


def _is_profile(
    profile: Mapping[str, Any] | None,
    sides: Callable[[Any], tuple[int, ...]],
    optimum: tuple[int, ...],
) -> bool:
    """Whether a profile is None, or ascends from ``min`` over ``optimum`` to ``max``."""
    if profile is None:
        return True
    if sorted(profile) != sorted(_PROFILE):
        return False
    steps = [sides(profile[name]) for name in _PROFILE]
    whole = all(type(side) is int and side >= 1 for step in steps for side in step)
    ascending = all(a <= b for x, y in pairwise(steps) for a, b in zip(x, y, strict=True))
    return whole and ascending and steps[1] == optimum


def _has_text(value: Any, *names: str) -> bool:
    """Whether a value is None, or an object with text under each name."""
    if value is None:
        return True
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)
