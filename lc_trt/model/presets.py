"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from lc_trt.errors import UsageError
from lc_trt.model.baselines import BASELINES, IMAGENET_MEAN, IMAGENET_STD, PEERS, Baseline, Peer
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.cascade import Cascade, Dense
from lc_trt.model.heads import final_head
from lc_trt.model.irnet import Trunk, inception_resnet_v2_trunk, irnet_trunk
from lc_trt.model.layers import Conv

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Preset:
    """Definition of a network except for its number of classes.

    Attributes:
        name: of the preset.
        trunk: creates the trunk from ``blocks`` and ``width``.
        blocks: residual blocks in stages 1, 2, 3.
        width: factor on every channel count.
        heads: form of the classifiers, ``plain`` or ``aspp``.
        hidden: channels inside heads 1 and 2.
        mean: input normalisation, BGR, in units of 0..255.
        std: likewise.
    """

    name: str
    trunk: Callable[[tuple[int, int, int], float], Trunk]
    blocks: tuple[int, int, int]
    width: float
    heads: str
    hidden: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_HALF = (127.5, 127.5, 127.5)  # Inception networks map 0..255 to -1..1

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("irnet", irnet_trunk, (5, 10, 5), 1.0, "aspp", 128, IMAGENET_MEAN, IMAGENET_STD),
        Preset(
            "irnet-small", irnet_trunk, (5, 10, 5), 0.375, "plain", 64, IMAGENET_MEAN, IMAGENET_STD
        ),
        Preset(
            "inception-resnet-v2",
            inception_resnet_v2_trunk,
            (10, 20, 10),
            1.0,
            "aspp",
            128,
            _HALF,
            _HALF,
        ),
    )
}


def find_network(name: str) -> Preset | Baseline | Peer:
    """Look up a preset, baseline or peer.

    Args:
        name: of the network.

    Raises:
        UsageError: unknown name.
    """
    if name in PRESETS:
        return PRESETS[name]
    if name in BASELINES:
        return BASELINES[name]
    if name in PEERS:
        return PEERS[name]
    raise UsageError(
        f"unknown preset {name!r}: expected one of {', '.join((*PRESETS, *BASELINES, *PEERS))}"
    )


def find_preset(name: str) -> Preset:
    """Look up a preset.

    Args:
        name: of the preset.

    Raises:
        UsageError: unknown name, or a baseline or peer, which has no cascade form.
    """
    network = find_network(name)
    if not isinstance(network, Preset):
        raise UsageError(
            f"preset {name!r} has no cascade form: expected one of {', '.join(PRESETS)}"
        )
    return network


def build_cascade(name: str, classes: int, heads: str | None = None) -> Cascade:
    """Create an initialised cascade.

    Args:
        name: of the preset.
        classes: number of classes.
        heads: form of the classifiers, ``plain`` or ``aspp``; None for the preset's.

    Raises:
        UsageError: unknown preset or form.
    """
    preset = find_preset(name)
    trunk = preset.trunk(preset.blocks, preset.width)
    return initialise(Cascade(trunk, classes, heads or preset.heads, preset.hidden))


def build_dense(name: str, classes: int, heads: str | None = None) -> Dense:
    """Create the initialised dense network of a preset or baseline.

    Args:
        name: of the preset or baseline.
        classes: number of classes.
        heads: form of the classifier, ``plain`` or ``aspp``; None for the preset's. A baseline has
            one form only.

    Raises:
        UsageError: unknown network or form, or a peer.
    """
    network = find_network(name)
    if isinstance(network, Peer):
        raise UsageError(f"preset {name!r} is a peer, which exists as plain ONNX only")
    if isinstance(network, Baseline):
        if heads is not None:
            raise UsageError(f"preset {name!r} has one head form only: omit --heads")
        return initialise(network.build(classes))
    trunk = network.trunk(network.blocks, network.width)
    head = final_head(trunk.channels[2], classes, heads or network.heads)
    return initialise(Dense(trunk.stages, head, classes))


def build_peer(name: str, classes: int) -> PeerNetwork:
    """Create an initialised peer.

    Args:
        name: of the peer.
        classes: number of classes.

    Raises:
        UsageError: not a peer.
    """
    if name not in PEERS:
        raise UsageError(f"{name!r} is no peer: expected one of {', '.join(PEERS)}")
    return initialise(PEERS[name].build(classes))


def initialise(model: M) -> M:
    """Initialise every convolution (He et al., 2015), classifiers with small weights.

    Small classifier weights make all classes about equally likely at the start.

    Args:
        model: changed in place.

    Returns:
        The model.
    """
    for module in model.modules():
        if not isinstance(module, Conv):
            continue
        conv = module.conv
        if module.relu or module.bn is not None:
            nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")
        else:
            nn.init.normal_(conv.weight, std=0.01)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
    return model


def count_parameters(model: nn.Module) -> int:
    """Count weights, biases and batch norm's four values per channel.

    Args:
        model: the network.
    """
    return sum(t.numel() for t in model.state_dict().values() if t.dtype != torch.long)
