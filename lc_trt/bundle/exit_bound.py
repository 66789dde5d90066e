"""The section of a manifest that says what the default thresholds of a cascade were chosen for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from lc_trt.bundle.sections import Count, Rho, Sha256, Share
from lc_trt.bundle.typed_json import at_least, between, one_of
from lc_trt.version import __version__

LABELS_CHANGED, MIOU_LOST = "labels changed", "mIoU lost"
CONFORMAL = "conformal risk control"
TESTED = "learn then test, Waudby-Smith-Ramdas bound"
EMPIRICAL = "empirical"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class ExitBound:
    """What the default thresholds keep to, as `lc-trt tune` chose them.

    The reference is the same engine without early exit (rho 1, 1).

    Attributes:
        measure: ``labels changed``, the share of an image's labels that differ from the
            reference's, or ``mIoU lost``, the difference to the reference's mIoU.
        limit: the largest value allowed, 0 to 1.
        form: ``conformal risk control`` bounds the expected value for the next image, ``learn then
            test, Waudby-Smith-Ramdas bound`` the mean of all such images with a confidence.
            ``empirical`` bounds nothing: it is what the images showed.
        confidence: of the second form, 0 to 1; None for the others.
        rho: thresholds of boundaries 1|2 and 2|3; always the bundle's default ones.
        measured: the measure at these thresholds on the images; as the bounds use it, with the
            running maximum along the path.
        images: number of these images.
        path_images: number of further images, on which the candidates were chosen.
        clips: number of videos that the images are frames of; 0 for still images.
        origin: description of the images.
        images_sha256: hash of the list of all images: names and sizes of the files, frame numbers.
        created: UTC, ISO 8601.
        lc_trt_version: version that chose the thresholds.
    """

    measure: Annotated[str, one_of(LABELS_CHANGED, MIOU_LOST)]
    limit: Share
    form: Annotated[str, one_of(CONFORMAL, TESTED, EMPIRICAL)]
    confidence: Share | None
    rho: Rho
    measured: Annotated[float, between(-1, 1)]
    images: Count
    path_images: Annotated[int, at_least(0)]
    clips: Annotated[int, at_least(0)]
    origin: str
    images_sha256: Sha256
    created: str = field(default_factory=_now)
    lc_trt_version: str = __version__

    @property
    def summary(self) -> str:
        """What was promised, in which form, on what and when, without a full stop."""
        unit = "points" if self.measure == MIOU_LOST else "%"
        frames = f"{self.images} images"
        if self.clips:
            frames = f"{self.images} frames of {self.clips} videos"
        return (
            f"{self._promise}; measured {100 * self.measured:.2f} {unit} on {frames} of "
            f"{self.origin} ({self.images_sha256[:8]}), {self.created[:10]}, "
            f"lc-trt {self.lc_trt_version}"
        )

    @property
    def _promise(self) -> str:
        limit = f"{100 * self.limit:g}"
        if self.measure == MIOU_LOST:
            return f"at most {limit} points of mIoU lost by early exit (empirical, not a bound)"
        sure = "" if self.confidence is None else f"with {100 * self.confidence:g} % confidence "
        return (
            f"{sure}at most {limit} % of labels changed by early exit, on average over images like "
            f"those measured ({self.form})"
        )
