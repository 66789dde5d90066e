"""The result of `lc-trt build` in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lc_trt.bundle.manifest import Manifest
    from lc_trt.bundle.sections import Check


def describe(name: str, manifest: Manifest) -> str:
    """A bundle in two lines or more: what it is, the cost of its precision, its check.

    Args:
        name: of the bundle.
        manifest: of the bundle.
    """
    height, width = manifest.size
    package = manifest.tensorrt.package if manifest.tensorrt else manifest.backend
    engine = (
        f"{name}: {manifest.kind} {manifest.name}, {width} wide x {height} high, "
        f"batch {manifest.batch}, {package} {manifest.backend_version}, {manifest.precision}"
    )
    cost = _cost(manifest.precision, manifest.check)
    return "\n".join([engine, *cost, manifest.check.summary])


def _cost(precision: str, check: Check) -> Iterator[str]:
    """The cost of reduced precision, one line per measure."""
    if check.miou is not None:
        int8, fp32, drop = check.miou.int8, check.miou.fp32, check.miou.drop
        yield f"mIoU {int8:.2%}, FP32 {fp32:.2%}: {drop:.2f} points"
    if precision != "fp32" and check.agreement is not None:
        labels, stages = check.agreement.mean_labels, check.agreement.mean_stages
        yield f"equal to FP32: {labels:.2%} of labels, {stages:.2%} of stages on average"
