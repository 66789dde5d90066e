"""The Pareto front of two thresholds that a tuned bundle carries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from lc_trt.bundle.bundle import TUNING, Bundle, write_bundle
from lc_trt.errors import LcTrtError

Pair = tuple[float, float]
T = TypeVar("T")
TUNE = "measure one: lc-trt tune MODEL.lct --images DIR"
_FORMAT = 1


def pareto_front(
    points: Iterable[T], time: Callable[[T], float], quality: Callable[[T], float]
) -> list[T]:
    """Select the points that no other beats in both time and quality.

    Args:
        points: in any order; of several equal ones, the first may be selected.
        time: returns what is to be low.
        quality: returns what is to be high.

    Returns:
        Points in strictly ascending time and quality.
    """
    front: list[T] = []
    # Among equally fast points, the best comes first.
    for point in sorted(points, key=lambda p: (time(p), -quality(p))):
        if not front or quality(point) > quality(front[-1]):
            front.append(point)
    return front


@dataclass(frozen=True)
class FrontPoint:
    """A pair of thresholds, and what it costs and gives.

    Attributes:
        rho: thresholds of boundaries 1|2 and 2|3.
        ms: milliseconds of the engine an image, by the line through all that was measured.
        measured_ms: the median of those measured with these thresholds.
        quality: 0 to 1, by the front's measure.
        shares: mean share of the pixels leaving at each stage, 0 to 1.
    """

    rho: Pair
    ms: float
    measured_ms: float
    quality: float
    shares: tuple[float, float, float]


@dataclass(frozen=True)
class Front:
    """Pairs of thresholds that none beats in both time and quality, fastest first.

    Attributes:
        points: the first is the bundle's fast setting.
        top: the thresholds up to which was measured.
        measure: what quality is, in words.
        images: how many images it was measured on, and ``origin`` which, in words.
        environment: the machine, as JSON values.
    """

    points: tuple[FrontPoint, ...]
    top: Pair
    measure: str
    images: int
    origin: str
    environment: dict[str, Any] = field(default_factory=dict)

    def dumps(self) -> str:
        """As JSON text."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> Front:
        """Read JSON text.

        Raises:
            ValueError: it is no front; the message continues a sentence about the file.
        """
        try:
            body = json.loads(text)
            if body.pop("format") != _FORMAT:
                raise ValueError("was written by another version of lc-trt")
            points = tuple(
                FrontPoint(
                    **{**p, "rho": _numbers(p["rho"], 2), "shares": _numbers(p["shares"], 3)}
                )
                for p in body.pop("points")
            )
            front = cls(points=points, top=_numbers(body.pop("top"), 2), **body)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"holds no Pareto front ({error})") from error
        front_points = pareto_front(points, lambda p: p.ms, lambda p: p.quality)
        if not points or list(points) != front_points:
            raise ValueError("holds points that are no Pareto front")
        return front


def read_front(bundle: Bundle) -> Front | None:
    """The front of a tuned bundle; None where it was never tuned.

    Raises:
        LcTrtError: the file is not what `lc-trt tune` writes.
    """
    if TUNING not in bundle.manifest.files:
        return None
    try:
        return Front.loads(bundle.file(TUNING).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LcTrtError(
            f"{bundle.path}: {TUNING} {error}; tune it again: "
            f"lc-trt tune {bundle.path} --images DIR"
        ) from error


def store_front(bundle: Bundle, front: Front) -> Bundle:
    """Write a front into a bundle, whole or not at all; all else in it stays as it is.

    Raises:
        LcTrtError: the bundle cannot be written.
    """
    kept: dict[str, Any] = {name: bundle.path / name for name in bundle.manifest.files}
    return write_bundle(bundle.path, bundle.manifest, {**kept, TUNING: front.dumps().encode()})


def _numbers(values: Any, count: int) -> Any:
    if len(values) != count or not all(isinstance(v, int | float) and 0 <= v <= 1 for v in values):
        raise ValueError(f"holds {values!r}, expected {count} numbers from 0 to 1")
    return tuple(float(v) for v in values)
