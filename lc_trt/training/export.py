"""Exports a preset, with or without trained weights, as an exchange ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fp16_weights import Fp16Weights
from lc_trt.data.classes import find_classes
from lc_trt.errors import UsageError
from lc_trt.ir.export import export_cascade, export_dense
from lc_trt.ir.export_foreign import export_foreign
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.baselines import Peer
from lc_trt.model.presets import PRESETS, build_cascade, build_dense, build_peer, find_network
from lc_trt.training.checkpoint import load_into, load_weights
from lc_trt.utils.files import atomic_write


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
    """Write a network as an exchange ONNX file, a peer as plain ONNX.

    Args:
        out: the file to write.
        preset: name of the network; default: the checkpoint's.
        checkpoint: weights from ``lc-trt train``; None for random weights, which suffice to measure
            speed.
        size: default input (height, width) in pixels.
        classes: class set or number of classes; default: the checkpoint's, or ``voc``.
        heads: ``plain`` or ``aspp``; default: the checkpoint's, or the preset's.
        rho: default exit thresholds, one per boundary.
        fast_rho: thresholds of the fast operating point, one per boundary.
        dense: export the dense network instead of the cascade.
        half: store the weights in FP16.
        seed: of the random weights.

    Returns:
        The metadata written into the file. Plain ONNX has none: a build gets classes and size by
        options.

    Raises:
        UsageError: no preset and no checkpoint that names one, or options that exclude each other.
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
                "--dense with --checkpoint: export the cascade instead; 'lc-trt bench' derives its "
                "dense network, and --rho 1 turns early exit off"
            )
    if preset is None:
        raise UsageError("no network: give --preset NAME or --checkpoint FILE")
    if half and checkpoint is None:
        raise UsageError("--half needs trained weights; give --checkpoint FILE")
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
        public_metadata(trained),
    )
    if isinstance(network, Peer):
        if heads is not None:
            raise UsageError(f"preset {preset!r} has one head form only: omit --heads")
        peer = build_peer(preset, len(labels))
        if checkpoint is not None:
            load_into(peer, checkpoint)
        model = export_foreign(peer, preset)
    elif info.kind == "dense":
        model = export_dense(
            build_dense(preset, len(labels), heads), info, network.mean, network.std
        )
    else:
        cascade = build_cascade(preset, len(labels), heads)
        if checkpoint is not None:
            load_into(cascade, checkpoint)
        model = export_cascade(cascade, info, network.mean, network.std)
    if half:
        model = run_passes(model, [Fp16Weights()])
    atomic_write(out, model.SerializeToString(), "choose another -o", parents=True)
    return info


def public_metadata(trained: dict[str, Any] | None) -> dict[str, Any] | None:
    """Metadata of a checkpoint without local paths.

    Args:
        trained: metadata that `load_weights` read, or None.

    Returns:
        A copy without the paths in its configuration; None for None.
    """
    if trained is None:
        return None
    config = {k: v for k, v in trained.get("config", {}).items() if k not in ("init", "imagenet")}
    for section, paths in (("data", {"root"}), ("distil", {"teacher", "unlabelled"})):
        if section in config:
            config[section] = {k: v for k, v in config[section].items() if k not in paths}
    return {**{k: v for k, v in trained.items() if k != "config"}, "config": config}
