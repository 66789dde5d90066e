"""Dense baselines by name: those of the published speed table, and peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lc_trt.model.baselines.ddrnet import ddrnet_23_slim
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.baselines.pidnet import pidnet_s
from lc_trt.model.baselines.resnet101 import resnet101
from lc_trt.model.baselines.vgg16 import vgg16
from lc_trt.model.cascade import Dense

IMAGENET_MEAN = (103.53, 116.28, 123.675)
IMAGENET_STD = (57.375, 57.12, 58.395)


@dataclass(frozen=True)
class Baseline:
    """A network without a cascade form.

    Attributes:
        name: of the preset.
        build: creates the uninitialised network for a number of classes.
        mean: input normalisation, BGR, in units of 0..255.
        std: likewise.
    """

    name: str
    build: Callable[[int], Dense]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


@dataclass(frozen=True)
class Peer:
    """A real-time network that takes normalised RGB images and is exported as plain ONNX.

    Attributes:
        name: of the preset.
        build: creates the uninitialised network for a number of classes.
        mean: input normalisation, BGR, in units of 0..255.
        std: likewise.
    """

    name: str
    build: Callable[[int], PeerNetwork]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (Baseline("vgg16", vgg16), Baseline("resnet101", resnet101))
}

PEERS: dict[str, Peer] = {
    peer.name: peer for peer in (Peer("pidnet-s", pidnet_s), Peer("ddrnet-23-slim", ddrnet_23_slim))
}
