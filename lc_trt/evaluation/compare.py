"""Measures how far two models agree on images, at the native size of the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.backends.registry import get_backend
from lc_trt.bundle.bundle import read_bundle
from lc_trt.bundle.thresholds import Rho, resolve_rho
from lc_trt.compiler.frontend.import_model import ImportOptions
from lc_trt.data.images import ImageList, list_images, read_image
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.open_model import open_model, takes_import_options, takes_size
from lc_trt.runtime import visualize as draw
from lc_trt.runtime.compare_engines import compare_maps
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.devices import CPU
from lc_trt.utils.files import atomic_write, check_file
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.video.sinks.base import image_encoder

_ADVICE = "choose another file"
DIFFERENT = (0, 0, 255)  # BGR of pixels with different labels


@dataclass(frozen=True)
class Options:
    """Options of a comparison.

    Attributes:
        picture: image file for the picture of the worst image.
        rho: thresholds of both models, as of `lc_trt.Segmenter`; None for the first cascade's.
        limit: number of images, evenly spaced; None for all.
        imports: how to read a plain ONNX; its size also applies to checkpoints.
        threads: CPU threads; None for all.
        device: GPU of TensorRT bundles, as of `lc_trt.load`, or ``cpu`` for both models.
    """

    picture: Path
    rho: Rho | None = None
    limit: int | None = None
    imports: ImportOptions = field(default_factory=ImportOptions)
    threads: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Agreement of two models.

    Attributes:
        images: number of images compared.
        skipped: number of unreadable images.
        labels: label agreement, the mean over images, 0 to 1.
        stages: stage agreement, likewise; 1 if one of the models is dense.
        probability: largest difference in confidence where the stages agree.
        non_finite: number of pixels, over all images, whose confidence is NaN or infinite in either
            model; they count as agreement in neither share.
        worst: name of the image with the least label agreement.
        worst_labels: its label agreement.
        shares: mean share of pixels that exit at each stage, for both models; None for a dense one.
    """

    images: int
    skipped: int
    labels: float
    stages: float
    probability: float
    non_finite: int
    worst: str
    worst_labels: float
    shares: tuple[tuple[float, ...] | None, tuple[float, ...] | None]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "images": self.images,
            "skipped": self.skipped,
            "labels": round(self.labels, 5),
            "stages": round(self.stages, 5),
            "largest_probability_difference": round(self.probability, 5),
            "non_finite": self.non_finite,
            "worst": {"image": self.worst, "labels": round(self.worst_labels, 5)},
            "shares": [None if s is None else [round(v, 4) for v in s] for s in self.shares],
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """Rows of a table: name and value."""
        yield "images", str(self.images)
        yield "equal labels", f"{self.labels:.2%}"
        if all(self.shares):
            yield "equal stages", f"{self.stages:.2%}"
        yield "largest probability difference", f"{self.probability:.3f}"
        if self.non_finite:
            yield "pixels without a finite probability", str(self.non_finite)
        yield "worst image", f"{self.worst} ({self.worst_labels:.2%} of its labels)"
        for name, shares in zip(("A", "B"), self.shares, strict=True):
            if shares:
                yield f"{name} exits at 1 / 2 / 3", " / ".join(f"{s:.1%}" for s in shares)


def compare_models(
    a: Path,
    b: Path,
    images: Path,
    options: Options,
    *,
    monitor: ProgressMonitor = SILENT,
) -> Comparison:
    """Run two models on the same images and draw the image with the least label agreement.

    Args:
        a: the first model, as of `open_model`.
        b: the second model.
        images: a folder or a pattern, as of `list_images`.
        options: of the comparison.
        monitor: shows progress, and warns of skipped images.

    Returns:
        The agreement over all images.

    Raises:
        LcTrtError: a model or all images are unusable, or the picture cannot be written.
        UsageError: the models have different classes, or options that do not fit them.
    """
    files = list_images(images).subset(options.limit)
    if not cv2.haveImageWriter(str(options.picture)):
        raise UsageError(f"--save {options.picture}: expected an image file, as in worst.png")
    check_file(options.picture, _ADVICE, option="--save")
    devices = _devices(a, b, options.device)
    imports = _imports(a, b, options.imports)
    first = open_model(a, imports[0], threads=options.threads, device=devices[0])
    with (
        first,
        open_model(b, imports[1], threads=options.threads, device=devices[1]) as second,
    ):
        if first.manifest.classes != second.manifest.classes:
            raise UsageError(
                f"{b}: {len(second.manifest.classes)} classes, expected the same "
                f"{len(first.manifest.classes)} classes as {a}"
            )
        rhos = _thresholds(first, second, options.rho)
        comparison, picture = _compare(first, second, files, rhos, monitor)
    encoded = image_encoder(options.picture.suffix)(picture)
    atomic_write(options.picture, encoded, _ADVICE, option="--save")
    return comparison


def _devices(a: Path, b: Path, device: str | None) -> tuple[str | None, str | None]:
    """Devices of the two models: a GPU is for TensorRT bundles only."""
    if device is None or device == CPU:
        return device, device
    on_gpu = [path.is_dir() and _runs_on_gpu(path) for path in (a, b)]
    if not any(on_gpu):
        raise UsageError(
            f"device {device}: neither {a} nor {b} was built for a GPU; omit --device, or build "
            "one: lc-trt build MODEL.onnx --backend tensorrt"
        )
    return device if on_gpu[0] else None, device if on_gpu[1] else None


def _runs_on_gpu(bundle: Path) -> bool:
    return get_backend(read_bundle(bundle).manifest.backend).capabilities.on_gpu


def _imports(a: Path, b: Path, options: ImportOptions) -> tuple[ImportOptions, ImportOptions]:
    """Import options of the two models: only plain ONNX files and checkpoints take any."""
    plain = [takes_import_options(path) for path in (a, b)]
    sized = [takes_size(path) for path in (a, b)]
    if options != ImportOptions(options.size) and not any(plain):
        raise UsageError(
            f"neither {a} nor {b} is a plain ONNX: both know their classes and normalisation; "
            "leave out --classes, --mean, --std, --bgr"
        )
    if options.size is not None and not any(sized):
        raise UsageError(
            f"--size: {a} and {b} have their own; leave it out, or build them for that size: "
            "lc-trt build MODEL.onnx --size HxW"
        )
    first, second = (
        options if is_plain else ImportOptions(options.size if has_size else None)
        for is_plain, has_size in zip(plain, sized, strict=True)
    )
    return first, second


def _thresholds(first: Segmenter, second: Segmenter, rho: Rho | None) -> list[Rho | None]:
    """The same thresholds for both models; None for a dense one."""
    own = [(s.manifest.default_rho, s.manifest.fast_rho) for s in (first, second)]
    cascades = [pair for pair in own if pair[0] is not None]
    if not cascades:
        resolve_rho(rho, None, None)
        return [None, None]
    chosen = resolve_rho(rho, *cascades[0])
    return [chosen if pair[0] is not None else None for pair in own]


def _compare(
    first: Segmenter,
    second: Segmenter,
    files: ImageList,
    rhos: list[Rho | None],
    monitor: ProgressMonitor,
) -> tuple[Comparison, npt.NDArray[np.uint8]]:
    labels, stages, probability, non_finite, skipped = [], [], 0.0, 0, 0
    shares: tuple[list[Any], list[Any]] = ([], [])
    worst: tuple[float, str, npt.NDArray[np.uint8]] | None = None
    for file in monitor.track("comparing", files.files):
        image = read_image(file)
        if image is None:
            skipped += 1
            monitor.warn(f"{file}: not a readable image, skipped")
            continue
        one, two = (s(image, rho) for s, rho in zip((first, second), rhos, strict=True))
        agreement = compare_maps(one, two)
        labels.append(float(agreement.labels.mean()))
        stages.append(float(agreement.stages.mean()))
        probability = max(probability, agreement.difference)
        non_finite += agreement.non_finite
        for model_shares, result in zip(shares, (one, two), strict=True):
            model_shares.append(result.shares)
        if worst is None or labels[-1] < worst[0]:
            worst = (labels[-1], file.name, _picture(one, two, agreement.labels))
    if worst is None:
        raise LcTrtError(f"{files.origin}: none of its {skipped} images is readable")
    return Comparison(
        images=len(labels),
        skipped=skipped,
        labels=float(np.mean(labels)),
        stages=float(np.mean(stages)),
        probability=probability,
        non_finite=non_finite,
        worst=worst[1],
        worst_labels=worst[0],
        shares=(_mean(shares[0]), _mean(shares[1])),
    ), worst[2]


def _mean(shares: list[Any]) -> tuple[float, ...] | None:
    if shares[0] is None:
        return None
    return tuple(float(v) for v in np.mean(shares, axis=0))


def _picture(one: Result, two: Result, equal: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Both overlays, and the gray frame with differing pixels in red."""
    marked = draw.grey(one.frame)
    marked[~equal] = DIFFERENT
    return draw.side_by_side([one.overlay(), two.overlay(), marked])
