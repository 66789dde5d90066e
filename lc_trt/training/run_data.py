"""The data of a run: classes, labelled images, batches, class weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import FILE, ClassSet, dataset_classes
from lc_trt.data.datasets import Dataset, open_dataset
from lc_trt.data.images import list_images
from lc_trt.training.batches import Batches, class_weights, count_pixels
from lc_trt.training.config import TrainConfig


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Attributes:
        classes: of the labels.
        train: labelled images to train on.
        val: labelled images to validate on.
        batches: of ``train``.
        class_weight: float32 [classes], one loss weight per class; None where no phase uses them.
        notes: lines for people: where the classes come from, which have no pixel.
    """

    classes: ClassSet
    train: Dataset
    val: Dataset
    batches: Batches
    class_weight: npt.NDArray[np.float32] | None
    notes: tuple[str, ...]


def open_run_data(config: TrainConfig) -> RunData:
    """Open the data that a configuration names.

    Args:
        config: the configuration.

    Raises:
        UsageError: unknown classes, or a number of them that the layout does not have.
        LcTrtError: unreadable data.
    """
    data, distil = config.data, config.distil
    classes, listed = dataset_classes(data.root, config.classes), Path(data.root, FILE)
    notes = []
    if listed.is_file():
        notes.append(f"classes of {listed}: {', '.join(classes.names)}")
    train = open_dataset(data.layout, data.root, data.train, classes)
    val = open_dataset(data.layout, data.root, data.val, classes)
    unlabelled = list_images(distil.unlabelled).files if distil.unlabelled else ()
    batches = Batches(
        train, config.batch, config.augment, config.seed, config.workers,
        unlabelled, distil.part, distil.scale,
    )  # fmt: skip
    weight = None
    if any(phase.class_weights == "log" for phase in config.phases):
        counts = count_pixels(train)
        weight = class_weights(counts)
        absent = [name for name, count in zip(classes.names, counts, strict=True) if not count]
        if absent:
            notes.append(
                f"split {data.train!r} has no pixel of {', '.join(absent)}; if its labels are of "
                f"other classes, list those in {listed}"
            )
    return RunData(classes, train, val, batches, weight, tuple(notes))
