"""Opens the network of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lc_trt.data.classes import ClassSet, find_classes
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.cascade import StagedNetwork
from lc_trt.model.network import NetworkSpec
from lc_trt.training.checkpoint import load_into, load_weights


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with three stages and its weights.

    Attributes:
        model: in evaluation mode.
        spec: its definition.
        classes: of its labels.
        metadata: of the checkpoint.
    """

    model: StagedNetwork
    spec: NetworkSpec
    classes: ClassSet
    metadata: dict[str, Any]


def open_network(path: Path) -> TrainedNetwork:
    """Open the network of a checkpoint.

    Args:
        path: weights written by ``lc-trt train``.

    Raises:
        LcTrtError: not such weights, or weights that do not fit the network they name.
        UsageError: weights of a peer.
    """
    metadata = load_weights(path)[1]
    spec = NetworkSpec.from_metadata(metadata)
    if not spec.name or "classes" not in metadata:
        raise LcTrtError(
            f"{path}: names no network and classes; expected weights written by 'lc-trt train'"
        )
    classes = find_classes(metadata["classes"])
    model = spec.build(len(classes))
    if not isinstance(model, StagedNetwork):
        raise UsageError(
            f"{path}: {spec.name} has no stages and is evaluated as plain ONNX: lc-trt "
            f"export --checkpoint {path} -o peer.onnx, then lc-trt eval peer.onnx --classes "
            f"{metadata['classes']}"
        )
    load_into(model, path)
    return TrainedNetwork(model.eval(), spec, classes, metadata)
