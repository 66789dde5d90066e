"""Import any segmentation ONNX as an exchange model."""

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
    """Properties that a plain ONNX lacks; an exchange model includes them.

    Attributes:
        size: (height, width) in pixels for a plain network; None for 300x500. An exchange model
            keeps its own.
        classes: names and colours; None numbers the classes of a plain network and keeps those of
            an exchange model.
        normalisation: mean, standard deviation and channel order of a plain network's input; None
            for ImageNet's, RGB. An exchange model normalises inside its graph.
    """

    size: tuple[int, int] | None = None
    classes: ClassSet | None = None
    normalisation: Normalisation | None = None


@dataclass(frozen=True)
class ImportedModel:
    """A segmentation network in exchange form.

    Attributes:
        model: the exchange model; the classes in its metadata may differ from ``info``.
        info: metadata of the model, with the classes of the options.
        unchanged: whether the file contains exactly this model and metadata.
    """

    model: onnx.ModelProto
    info: ModelInfo
    unchanged: bool


def import_model(source: str | Path, options: ImportOptions | None = None) -> ImportedModel:
    """Read an ONNX file; wrap a plain network in exchange form.

    Args:
        source: file of an exchange model, or of any segmentation ONNX.
        options: properties that a plain ONNX lacks; None for the defaults.

    Raises:
        LcTrtError: no such file, not an ONNX, or not a segmentation network.
        UsageError: a different number of classes, or a normalisation for an exchange model.
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
        raise UsageError(f"{source}: normalises inside its graph; omit --mean, --std, --bgr")
    if stored is None:
        raise LcTrtError(
            f"{source}: has the inputs and outputs of an exchange model but no lc_trt metadata; "
            "write it with 'lc-trt export'"
        )
    check_region_operators(model, str(source))
    info = _with_classes(stored, options.classes, source)
    return ImportedModel(model, info, unchanged=not plain and info == stored)


def is_plain(source: str | Path) -> bool:
    """Whether an ONNX file is a plain network, to which `ImportOptions` apply.

    Args:
        source: ONNX file.

    Raises:
        LcTrtError: no such file, or not an ONNX.
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
