"""What a training run is; every field can be given to ``lc-trt train``."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from lc_trt.errors import UsageError

MIN_CROP = 32  # a side in pixels; below that the feature map is all border


@dataclass(frozen=True)
class TrainConfig:
    """A run in two phases.

    Attributes:
        preset, heads, classes: the network (heads None: the preset's) and a class set's name.
        data: folder with SPLIT/images and SPLIT/labels.
        deep_epochs: deep supervision, every stage on all pixels.
        cascade_epochs: cascade fine-tuning, a stage learns from the pixels that reach it.
        rate, cascade_rate: AdamW's peak learning rate in each phase; poly decay, power 0.9.
        init: weights to start from (safetensors of an earlier run); None starts at random.
        batch, crop, scale: images a step, (height, width) in pixels, range of random scale.
        aspect: largest random stretch of one axis against the other.
        weight_decay: AdamW's, on every parameter (biases too, as the paper's SGD has it).
        exit_rho: a pixel leaves while fine-tuning as it does later, where its largest
            probability is greater than the boundary's threshold.
        clip: largest gradient norm; a larger gradient is scaled down to it.
        checkpoint_seconds: how much work a kill may cost.
    """

    data: str
    preset: str = "irnet-small"
    classes: str = "camvid"
    heads: str | None = None
    deep_epochs: int = 46
    cascade_epochs: int = 6
    rate: float = 2e-3
    cascade_rate: float = 4e-4
    weight_decay: float = 1e-4
    warmup_steps: int = 60
    batch: int = 8
    crop: tuple[int, int] = (192, 256)
    scale: tuple[float, float] = (0.5, 1.25)
    aspect: float = 1.4
    exit_rho: tuple[float, float] = (0.95, 0.95)
    clip: float = 5.0
    init: str | None = None
    seed: int = 0
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        epochs = (self.deep_epochs, self.cascade_epochs)
        _require(min(epochs) >= 0 and sum(epochs) > 0, "epochs", epochs, "0 or more, one above 0")
        _require(self.batch > 0, "batch", self.batch, "1 or more")
        _require(min(self.crop) >= MIN_CROP, "crop", self.crop, f"{MIN_CROP} pixels or more a side")
        low, high = self.scale
        _require(0 < low <= high, "scale", self.scale, "a range of positive factors")
        _require(self.aspect >= 1, "aspect", self.aspect, "1 or more")
        rates = (self.rate, self.cascade_rate)
        _require(all(0 < r < math.inf for r in rates), "learning rate", rates, "more than 0")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, tuples as lists, as JSON keeps them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def _require(right: bool, what: str, found: object, expected: str) -> None:
    if not right:
        raise UsageError(f"{what} {found}: expected {expected}")
