"""Exports a network, with or without trained weights, as an exchange ONNX file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fp16_weights import Fp16Weights
from lc_trt.data.classes import find_classes
from lc_trt.errors import UsageError
from lc_trt.ir.export import export_cascade, export_dense
from lc_trt.ir.export_foreign import export_foreign
from lc_trt.ir.metadata import EncoderFacts, ModelInfo
from lc_trt.model.baselines import Baseline, Peer
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.network import NetworkSpec
from lc_trt.model.presets import Preset, build_dense, find_network
from lc_trt.training.checkpoint import load_into, load_weights
from lc_trt.training.initial_weights import pretrained_facts
from lc_trt.utils.files import atomic_write


def export_file(
    out: Path,
    *,
    preset: str | None = None,
    encoder: str | None = None,
    checkpoint: Path | None = None,
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
        encoder: name of the encoder of a cascade with exact regions, instead of a preset; default:
            the checkpoint's.
        checkpoint: weights from ``lc-trt train``; None for random weights, which suffice to measure
            speed.
        size: default input (height, width) in pixels.
        classes: class set or number of classes; default: the checkpoint's, or ``voc``.
        heads: ``plain`` or ``aspp``, for presets; default: the checkpoint's, or the preset's.
        rho: default exit thresholds, one per boundary.
        fast_rho: thresholds of the fast operating point, one per boundary.
        dense: export the dense network instead of the cascade.
        half: store the weights in FP16.
        seed: of the random weights.

    Returns:
        The metadata written into the file. Plain ONNX has none: a build gets classes and size by
        options.

    Raises:
        UsageError: no network and no checkpoint that names one, or options that exclude each other.
        LcTrtError: unreadable checkpoint, or ``out`` cannot be written.
    """
    trained: dict[str, Any] | None = None
    if checkpoint is not None:
        trained = load_weights(checkpoint)[1]
        classes = classes or trained.get("classes")
        if dense:
            raise UsageError(
                "--dense with --checkpoint: export the cascade instead; 'lc-trt bench' derives its "
                "dense network, and --rho 1 turns early exit off"
            )
    spec = NetworkSpec.from_metadata(trained or {})
    if preset or encoder:
        spec = replace(spec, preset=preset or "", encoder=encoder or "", heads=heads or spec.heads)
    elif heads:
        spec = replace(spec, heads=heads)
    if not spec.name:
        raise UsageError("no network: give --preset NAME, --encoder NAME or --checkpoint FILE")
    if half and checkpoint is None:
        raise UsageError("--half needs trained weights; give --checkpoint FILE")
    if spec.encoder:
        _check_encoder_options(spec, dense)
    labels = find_classes(classes or "voc")
    network = find_network(spec.preset) if spec.preset else None
    torch.manual_seed(seed)
    info = ModelInfo(
        "dense" if dense or isinstance(network, (Baseline, Peer)) else "cascade",
        spec.name,
        labels.names,
        labels.colours,
        size,
        rho,
        fast_rho,
        public_metadata(trained),
        _encoder_facts(spec, trained),
    )
    if isinstance(network, Peer) and spec.heads is not None:
        raise UsageError(f"preset {spec.preset!r} has one head form only: omit --heads")
    if info.kind == "dense" and isinstance(network, (Preset, Baseline)):
        dense_network = build_dense(spec.preset, len(labels), spec.heads)
        model = export_dense(dense_network, info, network.mean, network.std)
    else:
        built = spec.build(len(labels))
        if checkpoint is not None:
            load_into(built, checkpoint)
        if isinstance(built, PeerNetwork):
            model = export_foreign(built, spec.preset)
        else:
            model = export_cascade(built, info, *spec.normalisation)
    if half:
        model = run_passes(model, [Fp16Weights()])
    atomic_write(out, model.SerializeToString(), "choose another -o", parents=True)
    return info


def _encoder_facts(spec: NetworkSpec, trained: dict[str, Any] | None) -> EncoderFacts | None:
    if not spec.encoder:
        return None
    mean, std = spec.normalisation
    return EncoderFacts(spec.encoder, mean, std, **(pretrained_facts(trained or {}) or {}))


def _check_encoder_options(spec: NetworkSpec, dense: bool) -> None:
    if spec.preset:
        raise UsageError(f"--encoder with --preset {spec.preset}: give one of them")
    if spec.heads:
        raise UsageError(f"--encoder with --heads {spec.heads}: presets only")
    if dense:
        raise UsageError(
            "--encoder with --dense: export the cascade instead; 'lc-trt bench' derives its dense "
            "network, and --rho 1 turns early exit off"
        )


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
    paths_of = {
        "data": {"root"},
        "distil": {"teacher", "unlabelled"},
        "encoder": {"name", "weights"},  # may be files; the metadata's own fields say what they are
    }
    for section, paths in paths_of.items():
        if config.get(section):
            config[section] = {k: v for k, v in config[section].items() if k not in paths}
    public = {**{k: v for k, v in trained.items() if k != "config"}, "config": config}
    if trained.get("encoder"):
        public["pretrained"] = pretrained_facts(trained)
    return public
