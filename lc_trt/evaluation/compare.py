"""How far two models agree on the same images, at the images' own size: ``lc-trt compare``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.bundle.bundle import read_bundle
from lc_trt.bundle.thresholds import Rho, resolve_rho
from lc_trt.compiler.frontend.import_model import ImportOptions
from lc_trt.data.images import ImageList, list_images, read_image
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.open_model import open_model, takes_import_options, takes_size
from lc_trt.runtime import visualize as draw
from lc_trt.runtime.compare_engines import compare_maps
from lc_trt.runtime.engines import TENSORRT
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.devices import CPU
from lc_trt.utils.files import atomic_write, check_file
from lc_trt.video.sinks.base import image_encoder

_ADVICE = "choose another file"
DIFFERENT = (0, 0, 255)  # BGR of pixels that have another label


@dataclass(frozen=True)
class Options:
    """How to compare.

    Attributes:
        rho: thresholds of both, as `lc_trt.Segmenter` takes them; None is the first's own.
        limit: number of images, evenly spread; None for all.
        imports: how to read those of the two that are a plain ONNX, at least one; their size is
            that of a checkpoint, too.
        threads: CPU threads; None for all.
        device: GPU of those of the two that are bundles of TensorRT, at least one (`lc_trt.load`);
            ``cpu`` for both.
        picture: where the worst image is drawn.
    """

    picture: Path
    rho: Rho | None = None
    limit: int | None = None
    imports: ImportOptions = field(default_factory=ImportOptions)
    threads: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        images: how many were compared; ``skipped`` were broken.
        labels: share of pixels with the same label, the mean over images.
        stages: share with the same stage; 1 where one of the models is dense.
        probability: largest difference of the winning probability where the stage is the same.
        non_finite: number of pixels, over all images, whose winning probability is NaN or infinite
            in either model; they are in neither share.
        worst: name of the image with the fewest equal labels; ``worst_labels`` is their share.
        shares: of pixels leaving at each stage, the mean over images, of both models.
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
        """For a table: what, value."""
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
                yield f"{name} leaves at 1 / 2 / 3", " / ".join(f"{s:.1%}" for s in shares)


Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def compare_models(
    a: Path,
    b: Path,
    images: Path,
    options: Options,
    *,
    progress: Progress,
    warn: Callable[[str], None] = lambda message: None,
) -> Comparison:
    """Run two models on the same images and draw the one they agree on least.

    Args:
        a: what `open_model` opens.
        b: another one.
        images: a folder or a pattern (`list_images`).
        options: how to compare.
        progress: shows how far it has come.
        warn: takes one line for each image that is skipped.

    Raises:
        LcTrtError: a model or all images cannot be used, or the picture cannot be written.
        UsageError: the models have other classes, or thresholds are given to a dense one.
    """
    files = list_images(images).subset(options.limit)
    if not cv2.haveImageWriter(str(options.picture)):
        raise UsageError(f"--save {options.picture}: expected a picture's name, as worst.png")
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
                f"{a} has {len(first.manifest.classes)} classes and {b} "
                f"{len(second.manifest.classes)}, or others: their labels cannot be compared"
            )
        rhos = _thresholds(first, second, options.rho)
        with progress("comparing", len(files)) as advance:
            found, picture = _compare(first, second, files, rhos, advance, warn)
    encoded = image_encoder(options.picture.suffix)(picture)
    atomic_write(options.picture, encoded, _ADVICE, option="--save")
    return found


def _devices(a: Path, b: Path, device: str | None) -> tuple[str | None, str | None]:
    """A GPU is for the bundles of TensorRT: the other model may well run on the CPU."""
    if device is None or device == CPU:
        return device, device
    on_gpu = [path.is_dir() and read_bundle(path).manifest.backend == TENSORRT for path in (a, b)]
    if not any(on_gpu):
        raise UsageError(
            f"device {device}: neither {a} nor {b} was built for a GPU; leave --device out, or "
            "build one so: lc-trt build MODEL.onnx --backend tensorrt"
        )
    return device if on_gpu[0] else None, device if on_gpu[1] else None


def _imports(a: Path, b: Path, options: ImportOptions) -> tuple[ImportOptions, ImportOptions]:
    """The options of a plain ONNX are for those of the two that are one: the other has its own."""
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
    """The same for both; None for a dense one."""
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
    advance: Callable[[int], None],
    warn: Callable[[str], None],
) -> tuple[Comparison, npt.NDArray[np.uint8]]:
    labels, stages, probability, non_finite, skipped = [], [], 0.0, 0, 0
    shares: tuple[list[Any], list[Any]] = ([], [])
    worst: tuple[float, str, npt.NDArray[np.uint8]] | None = None
    for file in files.files:
        image = read_image(file)
        advance(1)
        if image is None:
            skipped += 1
            warn(f"{file}: a broken image, skipped")
            continue
        one, two = (s(image, rho) for s, rho in zip((first, second), rhos, strict=True))
        agreement = compare_maps(one, two)
        labels.append(float(agreement.labels.mean()))
        stages.append(float(agreement.stages.mean()))
        probability = max(probability, agreement.difference)
        non_finite += agreement.non_finite
        for seen, result in zip(shares, (one, two), strict=True):
            seen.append(result.shares)
        if worst is None or labels[-1] < worst[0]:
            worst = (labels[-1], file.name, _picture(one, two, agreement.labels))
    if worst is None:
        raise LcTrtError(f"{files.origin}: none of its {skipped} images can be read")
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
    """Both overlays, and in red over the grey frame where they do not agree."""
    marked = draw.grey(one.frame)
    marked[~equal] = DIFFERENT
    return draw.side_by_side([one.overlay(), two.overlay(), marked])
