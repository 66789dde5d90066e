"""A model's own facts, kept as JSON in the ONNX file's metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import onnx

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import MODEL_INFO

FORMAT = 1


@dataclass(frozen=True)
class EncoderFacts:
    """The encoder of a network, and where its weights come from.

    Attributes:
        name: of the encoder.
        mean: input normalisation, BGR, in units of 0..255.
        std: likewise.
        source: of the weights that training started from; empty for random ones, or if unknown.
        licence: of these weights, as the source names it; empty if it does not.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str = ""
    licence: str = ""

    @property
    def weights(self) -> str:
        """Source and licence, for people."""
        if not self.source:
            return "of no known source"
        return f"{self.source} ({self.licence or 'licence not stated'})"

    @property
    def normalisation(self) -> str:
        """Mean and standard deviation, for people."""
        mean, std = (", ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        return f"(BGR - [{mean}]) / [{std}]"


@dataclass(frozen=True)
class ModelInfo:
    """A model's own facts.

    Attributes:
        kind: ``cascade`` or ``dense``.
        classes: names, by label value.
        colours: RGB, by label value.
        size: (height, width) the model is meant for, in pixels.
        default_rho: thresholds, one per boundary.
        fast_rho: the same, lower.
        trained: facts of the training (data, mIoU, ...), None for untrained weights.
        encoder: facts of the encoder; None for a network without one, and in older files.
    """

    kind: str
    name: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    size: tuple[int, int] = (300, 500)
    default_rho: tuple[float, float] = (0.985, 0.985)
    fast_rho: tuple[float, float] = (0.8, 0.8)
    trained: dict[str, Any] | None = None
    encoder: EncoderFacts | None = None


def encode_info(info: ModelInfo) -> str:
    """The metadata entry `MODEL_INFO` of a model.

    Args:
        info: the model's facts.
    """
    return json.dumps({"format": FORMAT, **asdict(info)})


def decode_info(entry: str) -> ModelInfo:
    """The facts in a metadata entry.

    Args:
        entry: what `encode_info` wrote.

    Raises:
        LcTrtError: it has another format.
    """
    data = json.loads(entry)
    version = data.pop("format", None)
    if version != FORMAT:
        raise LcTrtError(
            f"model metadata has format {version!r}, this lc-trt reads {FORMAT}; export it again"
        )
    return ModelInfo(
        kind=data["kind"],
        name=data["name"],
        classes=tuple(data["classes"]),
        colours=tuple((r, g, b) for r, g, b in data["colours"]),
        size=(data["size"][0], data["size"][1]),
        default_rho=(data["default_rho"][0], data["default_rho"][1]),
        fast_rho=(data["fast_rho"][0], data["fast_rho"][1]),
        trained=data["trained"],
        encoder=_decode_encoder(data.get("encoder")),
    )


def _decode_encoder(data: dict[str, Any] | None) -> EncoderFacts | None:
    if data is None:
        return None
    mean, std = ((b, g, r) for b, g, r in (data["mean"], data["std"]))
    return EncoderFacts(data["name"], mean, std, data["source"], data["licence"])


def write_info(model: onnx.ModelProto, info: ModelInfo) -> None:
    """Put facts into a model's metadata, replacing what was there.

    Args:
        model: is edited in place.
        info: its facts.
    """
    entries = {p.key: p.value for p in model.metadata_props}
    entries[MODEL_INFO] = encode_info(info)
    del model.metadata_props[:]
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)


def read_info(model: onnx.ModelProto) -> ModelInfo | None:
    """A model's facts; None for an ONNX that is not ours.

    Args:
        model: any ONNX.

    Raises:
        LcTrtError: the facts have another format.
    """
    for entry in model.metadata_props:
        if entry.key == MODEL_INFO:
            return decode_info(entry.value)
    return None
