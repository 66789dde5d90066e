"""Checkpoints of the small cascade with exact regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_encoder import MEAN, STD, tiny_encoder_cascade

from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.network import NetworkSpec
from lc_trt.training.checkpoint import save_weights

CONFIG = {"batch": 2, "augment": {"crop": [64, 64]}}


def build_tiny(patch: pytest.MonkeyPatch) -> None:
    """Let the small cascade stand in for the networks of all encoders."""

    def build(spec: NetworkSpec, classes: int) -> EncoderCascade:
        return tiny_encoder_cascade(
            classes,
            exit_rule=spec.exit_rule,
            fitted=spec.fitted_rules,
            neighbours=spec.neighbours,
        )

    patch.setattr(NetworkSpec, "build", build)
    patch.setattr(NetworkSpec, "normalisation", (MEAN, STD))


def save_tiny(path: Path, classes: int = 3, **metadata: Any) -> Path:
    """Write a checkpoint of the network that its metadata describe.

    Args:
        path: the file.
        classes: number of classes.
        **metadata: of the network, as `NetworkSpec.from_metadata` reads them.
    """
    known = {"encoder": "tiny", "classes": str(classes), "config": CONFIG, **metadata}
    spec = NetworkSpec.from_metadata(known)
    model = tiny_encoder_cascade(
        classes, exit_rule=spec.exit_rule, fitted=spec.fitted_rules, neighbours=spec.neighbours
    )
    save_weights(path, model, known)
    return path
