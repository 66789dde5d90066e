"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from lc_trt.errors import UsageError
from lc_trt.model.baselines import BASELINES, IMAGENET_MEAN, IMAGENET_STD, Baseline
from lc_trt.model.cascade import Cascade, Dense, final_head
from lc_trt.model.irnet import Trunk, inception_resnet_v2_trunk, irnet_trunk
from lc_trt.model.layers import Conv

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Preset:
    """A network's definition, all but its number of classes.

    Attributes:
        blocks: residual blocks in stages 1, 2, 3.
        width: factor on every channel count (rounded to multiples of 8).
        heads: classifier form, ``plain`` or ``aspp``.
        hidden: channels inside heads 1 and 2.
        mean, std: input normalisation, BGR order, in units of 0..255.
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


def find_network(name: str) -> Preset | Baseline:
    """A preset or a baseline by name; a `UsageError` lists the names there are."""
    if name in PRESETS:
        return PRESETS[name]
    if name in BASELINES:
        return BASELINES[name]
    raise UsageError(
        f"unknown preset {name!r}: expected one of {', '.join((*PRESETS, *BASELINES))}"
    )


def find_preset(name: str) -> Preset:
    """The preset of that name; a `UsageError` where it has no cascade form or does not exist."""
    network = find_network(name)
    if isinstance(network, Baseline):
        raise UsageError(
            f"preset {name!r} has no cascade form: expected one of {', '.join(PRESETS)}"
        )
    return network


def build_cascade(name: str, classes: int, heads: str | None = None) -> Cascade:
    """A freshly initialised cascade; ``heads`` overrides the preset's classifier form."""
    preset = find_preset(name)
    trunk = preset.trunk(preset.blocks, preset.width)
    return initialise(Cascade(trunk, classes, heads or preset.heads, preset.hidden))


def build_dense(name: str, classes: int, heads: str | None = None) -> Dense:
    """The dense network of a preset or baseline, freshly initialised.

    ``heads`` overrides a preset's classifier form; a baseline has one form only.
    """
    network = find_network(name)
    if isinstance(network, Baseline):
        if heads is not None:
            raise UsageError(f"preset {name!r} has one head form only: leave --heads out")
        return initialise(network.build(classes))
    trunk = network.trunk(network.blocks, network.width)
    head = final_head(trunk.channels[2], classes, heads or network.heads)
    return initialise(Dense(trunk.stages, head, classes))


def initialise(model: M) -> M:
    """He initialisation of every convolution; classifiers small, so that no class starts sure."""
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
    """Values in the state: weights, biases and batch norm's four values a channel."""
    return sum(t.numel() for t in model.state_dict().values() if t.dtype != torch.long)
