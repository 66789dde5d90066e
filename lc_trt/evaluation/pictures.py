"""Pictures of an image's result, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Sample
from lc_trt.runtime import visualize as draw
from lc_trt.runtime.resize import labels_to_size, to_size
from lc_trt.runtime.result import Result

Image: TypeAlias = npt.NDArray[np.uint8]

WIDTH = 480  # pixels; wider images are scaled down
# Distinguishable with every common form of color blindness and in gray: light blue, orange, wine.
STAGE_COLOURS = ((86, 180, 233), (230, 159, 0), (136, 34, 85))  # RGB
STAGE_NAMES = draw.STAGE_NAMES

_FADED = 0.3  # contrast of the frame where a stage labelled nothing
_STAGE_ALPHA = 0.65
_STRIPE = 4  # width of a stripe of void in pixels


@dataclass(frozen=True)
class Picture:
    """The panels of an image.

    Attributes:
        name: of the image.
        panels: title and RGB picture, uint8 [h, w, 3], all of the same size.
        present: class indices that occur in the ground truth or the result.
    """

    name: str
    panels: tuple[tuple[str, Image], ...]
    present: tuple[int, ...]


def picture(sample: Sample, result: Result) -> Picture:
    """Draw frame, ground truth, the labels of each stage, all labels, and exit stages.

    For a dense network only frame, ground truth and labels.

    Args:
        sample: image and ground truth.
        result: of the image.
    """
    height, width = sample.label.shape
    size = (round(height * WIDTH / width), WIDTH) if width > WIDTH else (height, width)
    frame = to_size(sample.image, size)
    truth, labels = (labels_to_size(values, size) for values in (sample.label, result.labels))
    colours = result.colours
    panels = [("frame", frame), ("ground truth", _truth(truth, colours))]
    if result.stages is not None and result.shares is not None:
        stages = labels_to_size(result.stages, size)
        coloured, faded = draw.colour_map(labels, colours), _faded(frame)
        for stage, share in enumerate(result.shares, start=1):
            exited = (stages == stage)[:, :, None]
            panels.append(
                (
                    f"labelled by stage {stage} ({100 * share:.0f} %)",
                    np.where(exited, coloured, faded),
                )
            )
        panels.append(("all labels", coloured))
        stage_map = draw.colour_map(stages - 1, STAGE_COLOURS)
        panels.append(("exit stage", draw.blend(faded, stage_map, _STAGE_ALPHA)))
    else:
        panels.append(("labels", draw.colour_map(labels, colours)))
    present = np.union1d(truth[truth != IGNORE], labels)
    return Picture(
        sample.name,
        tuple((title, np.ascontiguousarray(panel[:, :, ::-1])) for title, panel in panels),
        tuple(int(label) for label in present),
    )


def _truth(label: Image, colours: tuple[tuple[int, int, int], ...]) -> Image:
    """Class colours, with void as gray stripes."""
    y, x = np.indices(label.shape)
    stripes = np.where((x + y) // _STRIPE % 2, 255, 190).astype(np.uint8)
    void = (label == IGNORE)[:, :, None]
    return np.where(void, stripes[:, :, None], draw.colour_map(label, colours))


def _faded(frame: Image) -> Image:
    """The frame in pale gray, BGR."""
    return np.asarray(cv2.addWeighted(draw.grey(frame), _FADED, frame, 0, 170), np.uint8)
