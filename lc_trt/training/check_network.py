"""The network of a configuration, and whether the two fit together."""

from __future__ import annotations

from lc_trt.errors import UsageError
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec
from lc_trt.training.config import TrainConfig
from lc_trt.training.initial_weights import encoder_name

PUBLISHED = "published"


def configured_network(config: TrainConfig) -> NetworkSpec:
    """The network of a configuration.

    Args:
        config: the configuration.

    Raises:
        UsageError: unknown preset, or fields that the network cannot follow (`check_network`).
        LcTrtError: an encoder's checkpoint that cannot be read.
    """
    encoder = config.encoder
    if encoder is None:
        network = NetworkSpec(config.preset, config.heads)
    else:
        neighbours = Neighbours(encoder.neighbours)
        network = NetworkSpec(encoder=encoder_name(encoder), neighbours=neighbours)
    check_network(config, network)
    return network


def check_network(config: TrainConfig, network: NetworkSpec) -> None:
    """Reject fields that the network cannot follow, before any data are read.

    Args:
        config: the configuration.
        network: its network.

    Raises:
        UsageError: a phase of a peer other than ``published``, or of a cascade that is; a field of
            a peer that only cascades have; a batch of one image for a peer; a phase with exits
            that exact regions do not need, or that asks for labels at several strides.
    """
    losses = {phase.loss for phase in config.phases}
    if not network.is_peer:
        if PUBLISHED in losses:
            raise UsageError(
                f"loss published: {network.name} is a cascade; expected deep, cascade or final"
            )
        if network.encoder:
            _check_exits(config, network)
        return
    unknown = {
        "heads": config.heads is not None,
        "imagenet": config.imagenet is not None,
        "distil.teacher": bool(config.distil.teacher),
        "phases.N.freeze_first_stage": any(phase.freeze_first_stage for phase in config.phases),
        "phases.N.weights": any(phase.weights is not None for phase in config.phases),
    }
    for name, given in unknown.items():
        if given:
            raise UsageError(f"{name}: {network.name} is a peer, which does not take it; omit it")
    if losses != {PUBLISHED}:
        (other, *_) = sorted(losses - {PUBLISHED})
        raise UsageError(f"loss {other}: {network.name} is a peer; expected published")
    if config.batch == 1:
        raise UsageError(
            f"batch 1: {network.name} normalises one value per image after its global pooling; "
            "expected at least 2"
        )


def _check_exits(config: TrainConfig, network: NetworkSpec) -> None:
    for phase in config.phases:
        if phase.loss != "cascade":
            continue
        if network.neighbours is Neighbours.EXACT:
            raise UsageError(
                "loss cascade: a network with exact regions needs no training with exits; "
                "expected deep or final"
            )
        if phase.exit.by == "truth":
            raise UsageError(
                f"exit.by truth: the stages of {network.name} differ in stride; expected largest"
            )
