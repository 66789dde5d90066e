"""The manifest of a bundle: its fields, and their validated conversion from and to JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any

from lc_trt.bundle import manifest_v1, manifest_v2
from lc_trt.bundle.exit_bound import ExitBound
from lc_trt.bundle.sections import (
    Calibration,
    Check,
    Count,
    FileName,
    PluginRecord,
    Profile,
    ReuseInputs,
    Rho,
    Sha256,
    Size,
    TensorRTBuild,
)
from lc_trt.bundle.typed_json import JsonError, between, one_of, read, refuse
from lc_trt.utils.machine import Gpu
from lc_trt.version import __version__

FORMAT = 3
_UPGRADES = {old.FORMAT: old.upgrade for old in (manifest_v1, manifest_v2)}  # to the next one
_Channel = Annotated[int, between(0, 255)]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _unchecked() -> Check:
    return Check(skip_reason="not compared with another engine")


@dataclass(frozen=True)
class Manifest:
    """Metadata of a bundle.

    Attributes:
        backend: the backend that it was compiled for.
        backend_version: version of the backend that the build ran.
        kind: ``cascade`` or ``dense``.
        name: name of the network, such as ``irnet-small``.
        model_sha256: hash of the exchange ONNX that it was built from.
        classes: class names, indexed by label.
        colours: RGB, 0 to 255, indexed by label.
        size: input size, (height, width) in pixels; the optimum of a size profile.
        batch: images per pass; the optimum of a batch profile.
        default_rho: thresholds of boundaries 1|2 and 2|3; None for a dense network.
        fast_rho: thresholds for ``rho="fast"``; None for a dense network.
        bound: what the default thresholds were tuned to keep to; None if they were not.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        gpu: the GPU that a TensorRT engine was built on; None if built without one, and for other
            backends.
        plugin: the plugin library; None if the engine needs none.
        tensorrt: TensorRT's build options; None for other backends.
        batch_profile: supported images per pass; None if ``batch`` is fixed.
        size_profile: supported (height, width); None if ``size`` is fixed.
        calibration: INT8 and FP16 calibration; None for other precisions.
        reuse: extra inputs for temporal reuse; None if built without it.
        check: comparison with FP32 after the build.
        trained: facts from the model card; None for untrained weights.
        files: SHA-256 by file name, filled in by `lc_trt.bundle.bundle.write_bundle`.
        created: UTC, ISO 8601.
        lc_trt_version: version that wrote the bundle.
    """

    backend: str
    backend_version: str
    kind: Annotated[str, one_of("cascade", "dense")]
    name: str
    model_sha256: str
    classes: tuple[str, ...]
    colours: tuple[tuple[_Channel, _Channel, _Channel], ...]
    size: Size
    batch: Count = 1
    default_rho: Rho | None = None
    fast_rho: Rho | None = None
    bound: ExitBound | None = None
    precision: str = "fp32"
    gpu: Gpu | None = None
    plugin: PluginRecord | None = None
    tensorrt: TensorRTBuild | None = None
    batch_profile: Profile[Count] | None = None
    size_profile: Profile[Size] | None = None
    calibration: Calibration | None = None
    reuse: ReuseInputs | None = None
    check: Check = field(default_factory=_unchecked)
    trained: dict[str, Any] | None = None
    files: dict[FileName, Sha256] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    lc_trt_version: str = __version__

    @property
    def floating_precision(self) -> str:
        """Precision of the layers outside INT8; ``precision`` itself for other engines."""
        if self.calibration is None or self.calibration.int8 is None:
            return self.precision
        return self.calibration.int8.fallback_precision

    def dumps(self) -> str:
        """The manifest as JSON text."""
        # The format comes first, because it determines how the rest is read.
        body = {"format": FORMAT, "lc_trt_version": self.lc_trt_version, **asdict(self)}
        return json.dumps(body, indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> Manifest:
        """Read JSON text of the current format or an earlier one.

        Args:
            text: content of ``manifest.json``.

        Raises:
            JsonError: invalid content; the message starts with a verb, to follow the file name.
        """
        try:
            body = json.loads(text)
        except json.JSONDecodeError as error:
            raise JsonError(f"is not JSON ({error})") from error
        if not isinstance(body, dict) or not isinstance(body.get("format"), int):
            raise JsonError('is not a manifest (expected a JSON object with "format")')
        if body["format"] not in (*_UPGRADES, FORMAT):
            raise JsonError(
                f"has format {body['format']} (written by lc-trt {body.get('lc_trt_version')}), "
                f"lc-trt {__version__} reads formats {min(_UPGRADES)} to {FORMAT}"
            )
        for number in range(body["format"], FORMAT):
            body = _UPGRADES[number](body)
        manifest = read(cls, body)
        manifest._check_consistency(body)
        return manifest

    def _check_consistency(self, body: dict[str, Any]) -> None:
        """Raise if fields contradict each other; messages quote the values of ``body``."""
        count, cascade = len(self.classes), self.kind == "cascade"
        thresholds = f"{'two thresholds' if cascade else 'null'} for kind {self.kind}"
        rules = {
            "classes": (1 <= count <= 255, "1 to 255 classes"),
            "colours": (len(self.colours) == count, f"one colour per class, {count}"),
            "default_rho": (cascade == (self.default_rho is not None), thresholds),
            "fast_rho": (cascade == (self.fast_rho is not None), thresholds),
            "bound": (
                self.bound is None or self.bound.rho == self.default_rho,
                "null, or a bound whose rho are default_rho",
            ),
            "batch_profile": (
                _ascends(self.batch_profile, lambda batch: (batch,), self.batch),
                f"ascending min, opt and max, with opt equal to batch {self.batch}",
            ),
            "size_profile": (
                _ascends(self.size_profile, tuple, self.size),
                f"ascending min, opt and max, with opt equal to size {list(self.size)}",
            ),
            "tensorrt": (
                (self.backend == "tensorrt") == (self.tensorrt is not None),
                f"{'an object' if self.backend == 'tensorrt' else 'null'} for {self.backend}",
            ),
            "plugin": (
                self.plugin is None or not self.files or self.plugin.file in self.files,
                f"a file of the bundle ({', '.join(sorted(self.files))})",
            ),
            "calibration": (
                self.precision != "int8" or bool(self.calibration and self.calibration.int8),
                "an object with int8 for precision int8",
            ),
            "check": (
                not self.check.checked or self.check.agreement is not None,
                "a skip_reason or an agreement",
            ),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise refuse(name, body[name], expected)


def _ascends(
    profile: Profile[Any] | None, sides: Callable[[Any], tuple[int, ...]], optimum: Any
) -> bool:
    """Whether a profile is None, or ascends in every dimension and has the given optimum."""
    if profile is None:
        return True
    steps = [sides(value) for value in (profile.min, profile.opt, profile.max)]
    ascending = all(a <= b for x, y in pairwise(steps) for a, b in zip(x, y, strict=True))
    return ascending and profile.opt == optimum
