"""How to measure a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lc_trt.data.metrics import Shares


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        images: folder, image or video; None takes the photographs of scikit-image.
        size: (height, width) in pixels; None is the published size, for a dense bundle its own.
            The network is compiled again in memory if size or batch are not the bundle's.
        batch: images per pass; None is the bundle's.
        shares: target shares per row, ``LC`` and ``LC fast``. Other rows run at the bundle's
            thresholds if its weights are trained, else at the published shares.
        threads: CPU threads; None for all.
        device: GPU of a TensorRT bundle (`lc_trt.load`); None for the default.
        baselines: whether to include VGG16 and ResNet-101.
        peers: whether to include PIDNet-S and DDRNet-23-slim, and to show speed beside accuracy.
        accuracy: folder of results of ``lc-trt eval --json`` for that; None for those of this
            checkout, if there are any.
        all_runners: whether to run dense networks on every installed backend; the fastest is the
            reference.
        target_fps: required frame rate of LC fast (of a dense bundle, of the dense row); None is
            the published one for a cascade, and none for a dense network.
        rounds: measured rounds.
        warmup: unmeasured rounds before them.
        soak: passes to observe the memory over; 0 for none.
        seed: of frames and shares.
    """

    images: Path | None = None
    size: tuple[int, int] | None = None
    batch: int | None = None
    shares: dict[str, Shares] | None = None
    threads: int | None = None
    device: str | None = None
    baselines: bool = False
    peers: bool = False
    accuracy: Path | None = None
    all_runners: bool = False
    target_fps: float | None = None
    rounds: int = 25
    warmup: int = 3
    soak: int = 0
    seed: int = 0
