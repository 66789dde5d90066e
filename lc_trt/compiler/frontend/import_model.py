"""The one way in for an ONNX file, ours or foreign: a segmentation network in exchange form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from lc_trt.compiler.frontend.read_onnx import check_region_operators, exchange_kind, load_onnx
from lc_trt.compiler.frontend.wrap_dense import Normalisation, wrap_plain
from lc_trt.data.classes import ClassSet
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import ModelInfo, read_info


@dataclass(frozen=True)
class ImportOptions:
    """What a plain ONNX does not say of itself; the exchange format says all of it.

    Attributes:
        size: (height, width) in pixels that a plain network is wrapped for; None for 300x500. A
            model in exchange form keeps its own.
        classes: names and colours; None numbers the classes of a plain network, and keeps those
            of a model in exchange form.
        normalisation: mean, standard deviation and channel order of a plain network's input; None
            is ImageNet's, RGB. A model in exchange form normalises inside its graph.
    """

    size: tuple[int, int] | None = None
    classes: ClassSet | None = None
    normalisation: Normalisation | None = None


@dataclass(frozen=True)
class ImportedModel:
    """A segmentation network in exchange form.

    Attributes:
        model: the exchange model; its metadata may differ from ``info`` in the classes.
        info: the model's metadata, with the classes of the options.
        unchanged: the file holds just this model with this metadata.
    """

    model: onnx.ModelProto
    info: ModelInfo
    unchanged: bool


def import_model(source: str | Path, options: ImportOptions | None = None) -> ImportedModel:
    """Read an ONNX file and, where it is a plain network, wrap it in exchange form.

    Args:
        source: the file; a cascade or dense model of ``lc-trt export``, or any segmentation ONNX.
        options: what a plain ONNX does not say of itself; None for the defaults.

    Raises:
        LcTrtError: no such file, no ONNX, or no segmentation network.
        UsageError: another number of classes than it has, or a normalisation for a model that
            normalises inside its graph.
    """
    options = options or ImportOptions()
    model = load_onnx(source)
    stored = _read_info(model, source)
    plain = exchange_kind(model) is None
    if plain:
        model = wrap_plain(
            model,
            str(source),
            options.size or ModelInfo.size,
            options.normalisation or Normalisation(),
            options.classes,
        )
        stored = _read_info(model, source)
    elif options.normalisation is not None:
        raise UsageError(f"{source}: normalises inside its graph; leave out --mean, --std, --bgr")
    if stored is None:
        raise LcTrtError(
            f"{source}: has our inputs and outputs but no lc_trt metadata; write it with "
            "'lc-trt export'"
        )
    check_region_operators(model, str(source))
    info = _with_classes(stored, options.classes, source)
    return ImportedModel(model, info, unchanged=not plain and info == stored)


def is_plain(source: str | Path) -> bool:
    """Whether an ONNX file is not in exchange form, so that `ImportOptions` apply to it.

    Raises:
        LcTrtError: no such file, or no ONNX.
    """
    return exchange_kind(load_onnx(source)) is None


def _read_info(model: onnx.ModelProto, source: str | Path) -> ModelInfo | None:
    try:
        return read_info(model)
    except LcTrtError as error:
        raise LcTrtError(f"{source}: {error}") from error


def _with_classes(info: ModelInfo, classes: ClassSet | None, source: str | Path) -> ModelInfo:
    if classes is None:
        return info
    if len(classes) != len(info.classes):
        raise UsageError(
            f"{source}: has {len(info.classes)} classes, --classes {classes.name} has "
            f"{len(classes)}"
        )
    return replace(info, classes=classes.names, colours=classes.colours)
