"""What each stage said of an image, as pictures."""

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

WIDTH = 480  # pixels; a wider image is shrunk to it
# Told apart in every common form of colour blindness and in grey: light blue, orange, wine.
STAGE_COLOURS = ((86, 180, 233), (230, 159, 0), (136, 34, 85))  # RGB
STAGE_NAMES = draw.STAGE_NAMES

_FADED = 0.3  # of the frame's contrast that is left where a stage labelled nothing
_STAGE_ALPHA = 0.65
_STRIPE = 4  # pixels a stripe of void


@dataclass(frozen=True)
class Picture:
    """One image in panels.

    Attributes:
        name: the image's.
        panels: title and RGB uint8 [h, w, 3], all of one size.
        present: the classes that the truth or the result holds, by label.
    """

    name: str
    panels: tuple[tuple[str, Image], ...]
    present: tuple[int, ...]


def picture(sample: Sample, result: Result) -> Picture:
    """The frame, the truth, what each stage labelled, all labels, and the stages.

    A dense network has no stages: frame, truth and labels are all of it then.
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
            here = (stages == stage)[:, :, None]
            panels.append(
                (
                    f"labelled by stage {stage} ({100 * share:.0f} %)",
                    np.where(here, coloured, faded),
                )
            )
        panels.append(("all labels", coloured))
        of_stages = draw.colour_map(stages - 1, STAGE_COLOURS)
        panels.append(("stage that labelled it", draw.blend(faded, of_stages, _STAGE_ALPHA)))
    else:
        panels.append(("labels", draw.colour_map(labels, colours)))
    present = np.union1d(truth[truth != IGNORE], labels)
    return Picture(
        sample.name,
        tuple((title, np.ascontiguousarray(panel[:, :, ::-1])) for title, panel in panels),
        tuple(int(label) for label in present),
    )


def _truth(label: Image, colours: tuple[tuple[int, int, int], ...]) -> Image:
    """Class colours, void in grey stripes: no class looks like that."""
    y, x = np.indices(label.shape)
    stripes = np.where((x + y) // _STRIPE % 2, 255, 190).astype(np.uint8)
    void = (label == IGNORE)[:, :, None]
    return np.where(void, stripes[:, :, None], draw.colour_map(label, colours))


def _faded(frame: Image) -> Image:
    """The frame in pale grey, BGR."""
    return np.asarray(cv2.addWeighted(draw.grey(frame), _FADED, frame, 0, 170), np.uint8)
