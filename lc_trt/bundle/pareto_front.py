"""The Pareto front of thresholds in a tuned bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from lc_trt.bundle.bundle import TUNING, Bundle, rewrite_bundle
from lc_trt.errors import LcTrtError

Pair = tuple[float, float]
T = TypeVar("T")
TUNE = "measure one: lc-trt tune MODEL.lct --images DIR"
_FORMAT = 1


def pareto_front(
    points: Iterable[T], time: Callable[[T], float], quality: Callable[[T], float]
) -> list[T]:
    """Select the points that no other point beats in both time and quality.

    Args:
        points: candidates in any order; the first of several equal points may be selected.
        time: returns the time of a point, to minimise.
        quality: returns the quality of a point, to maximise.

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
    """A pair of thresholds with its time and quality.

    Attributes:
        rho: thresholds of boundaries 1|2 and 2|3.
        ms: milliseconds per image in the engine, from a line fitted to all measurements.
        measured_ms: median of the milliseconds measured with these thresholds.
        quality: 0 to 1, see `Front.measure`.
        shares: mean share of the pixels that exit at each stage, 0 to 1.
    """

    rho: Pair
    ms: float
    measured_ms: float
    quality: float
    shares: tuple[float, float, float]


@dataclass(frozen=True)
class Front:
    """Threshold pairs that no other pair beats in both time and quality, fastest first.

    Attributes:
        points: operating points; the first is the bundle's fast setting.
        top: highest thresholds that were measured.
        measure: description of the quality measure.
        images: number of images it was measured on.
        origin: description of these images.
        environment: description of the machine, as JSON values.
    """

    points: tuple[FrontPoint, ...]
    top: Pair
    measure: str
    images: int
    origin: str
    environment: dict[str, Any] = field(default_factory=dict)

    def dumps(self) -> str:
        """The front as JSON text."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> Front:
        """Read JSON text.

        Args:
            text: content of ``tuning.json``.

        Raises:
            ValueError: invalid content; the message starts with a verb, to follow the file name.
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
            raise ValueError(f"has no Pareto front ({error})") from error
        front_points = pareto_front(points, lambda p: p.ms, lambda p: p.quality)
        if not points or list(points) != front_points:
            raise ValueError("has points that do not form a Pareto front")
        return front


def read_front(bundle: Bundle) -> Front | None:
    """Read the front of a bundle; None if it was not tuned.

    Args:
        bundle: of any backend.

    Raises:
        LcTrtError: ``tuning.json`` is invalid.
    """
    if TUNING not in bundle.manifest.files:
        return None
    try:
        return Front.loads(bundle.file(TUNING).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LcTrtError(
            f"{bundle.path}: {TUNING} {error}; rewrite it: lc-trt tune {bundle.path} --images DIR"
        ) from error


def store_front(bundle: Bundle, front: Front) -> Bundle:
    """Write a front into a bundle atomically; its other files stay as they are.

    Args:
        bundle: bundle to rewrite.
        front: replaces an earlier one.

    Returns:
        The rewritten bundle.

    Raises:
        LcTrtError: the bundle cannot be written.
    """
    return rewrite_bundle(bundle, files={TUNING: front.dumps().encode()})


def _numbers(values: Any, count: int) -> Any:
    if len(values) != count or not all(isinstance(v, int | float) and 0 <= v <= 1 for v in values):
        raise ValueError(f"has {values!r}, expected {count} numbers from 0 to 1")
    return tuple(float(v) for v in values)
