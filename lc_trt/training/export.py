"""Preset and checkpoint in, exchange ONNX file out: what ``lc-trt export`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch

from lc_trt.compiler.passes.fp16_weights import store_half
from lc_trt.data.classes import find_classes
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.export import export_cascade, export_dense
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.presets import PRESETS, build_cascade, build_dense, find_network
from lc_trt.training.checkpoint import load_into, load_weights, write_atomically


def export_file(
    out: Path,
    *,
    preset: str | None,
    checkpoint: Path | None,
    size: tuple[int, int] = (300, 500),
    classes: str | None = None,
    heads: str | None = None,
    rho: tuple[float, float] = (0.985, 0.985),
    fast_rho: tuple[float, float] = (0.8, 0.8),
    dense: bool = False,
    half: bool = False,
    seed: int = 0,
) -> ModelInfo:
    """Write a preset as exchange ONNX; what it says of itself.

    Args:
        preset, classes, heads: default to what the checkpoint was trained with.
        checkpoint: weights; None for random ones from ``seed`` (enough to measure speed).
        dense: the dense network instead of the cascade.
        half: store weights in FP16.

    Raises:
        UsageError: no preset given and none in the checkpoint, or one of another network.
        LcTrtError: unreadable checkpoint, or ``out`` cannot be written.
    """
    trained: dict[str, Any] | None = None
    if checkpoint is not None:
        trained = load_weights(checkpoint)[1]
        preset = preset or trained.get("preset")
        classes = classes or trained.get("classes")
        heads = heads or trained.get("heads")
        if dense:
            raise UsageError(
                "--dense with --checkpoint: export the cascade; 'lc-trt bench' makes its dense "
                "network, or run it with --rho 1"
            )
    if preset is None:
        raise UsageError("no network: give --preset NAME, or a --checkpoint that names one")
    if half and checkpoint is None:
        raise UsageError("--half is for trained weights; give --checkpoint")
    network, labels = find_network(preset), find_classes(classes or "voc")
    torch.manual_seed(seed)
    info = ModelInfo(
        "dense" if dense or preset not in PRESETS else "cascade",
        preset,
        labels.names,
        labels.colours,
        size,
        rho,
        fast_rho,
        facts_to_ship(trained),
    )
    if info.kind == "dense":
        model = export_dense(
            build_dense(preset, len(labels), heads), info, network.mean, network.std
        )
    else:
        cascade = build_cascade(preset, len(labels), heads)
        if checkpoint is not None:
            load_into(cascade, checkpoint)
        model = export_cascade(cascade, info, network.mean, network.std)
    if half:
        model = store_half(model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, lambda partial: _put(partial, model))
    except OSError as error:
        raise LcTrtError(
            f"{out}: cannot be written ({error.strerror}); choose another -o"
        ) from error
    return info


def _put(path: Path, model: onnx.ModelProto) -> None:
    path.write_bytes(model.SerializeToString())


def facts_to_ship(trained: dict[str, Any] | None) -> dict[str, Any] | None:
    """What travels with the model: where it came from, without the trainer's folder names."""
    if trained is None:
        return None
    config = {k: v for k, v in trained.get("config", {}).items() if k not in ("init", "imagenet")}
    for section, places in (("data", {"root"}), ("distil", {"teacher", "unlabelled"})):
        if section in config:
            config[section] = {k: v for k, v in config[section].items() if k not in places}
    return {**{k: v for k, v in trained.items() if k != "config"}, "config": config}
