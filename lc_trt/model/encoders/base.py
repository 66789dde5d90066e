"""What every encoder has in common."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn
from typing_extensions import override

from lc_trt.model.layers import Chain, freeze_batch_norm

STRIDES = (4, 8, 16, 32)
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class EncoderInfo:
    """Facts of an encoder that travel with its weights.

    Attributes:
        name: as in a configuration; timm's name where timm has it.
        mean: input normalisation, BGR, in units of 0..255.
        std: likewise.
        base: name of the network whose pretrained weights it takes; empty for its own.
        left_out: convolutions at the end of that network that it does not have.
    """

    name: str
    mean: Triple
    std: Triple
    base: str = ""
    left_out: int = 0

    @property
    def pretrained_name(self) -> str:
        """Name of the network whose pretrained weights it takes."""
        return self.base or self.name


class Encoder(nn.Module, abc.ABC):
    """Maps images to features at strides 4, 8, 16 and 32.

    Args:
        info: name and input normalisation.
        channels: of the features, one per stride.

    Attributes:
        info: see above.
        channels: see above.
    """

    def __init__(self, info: EncoderInfo, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.info, self.channels = info, channels

    @override
    @abc.abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features at strides 4, 8, 16 and 32.

        Args:
            x: normalised BGR images, float [N, 3, H, W].

        Returns:
            Four maps, float [N, C, ceil(H / stride), ceil(W / stride)].
        """

    @abc.abstractmethod
    def freeze(self, stride: int | None) -> None:
        """Keep the weights up to a stride fixed; None keeps none.

        Args:
            stride: one of `STRIDES`.
        """

    @override
    def train(self, mode: bool = True) -> Encoder:
        """Switch between training and evaluation; batch norms stay in evaluation mode.

        Their statistics are those of ImageNet's training, better than those of small batches.

        Args:
            mode: whether to train.
        """
        super().train(mode)
        freeze_batch_norm(self)
        return self


class SequentialEncoder(Encoder):
    """An encoder of our own layers, one chain per stride.

    Args:
        info: name and input normalisation.
        channels: of the features, one per stride.
        stages: five chains; the outputs of the last four are the features.

    Attributes:
        stages: see above.
    """

    def __init__(
        self, info: EncoderInfo, channels: tuple[int, int, int, int], stages: Iterable[Chain]
    ) -> None:
        super().__init__(info, channels)
        self.stages = nn.ModuleList(stages)
        if len(self.stages) != len(STRIDES) + 1:
            raise ValueError(f"{len(self.stages)} stages, expected {len(STRIDES) + 1}")

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features[1:])

    @override
    def freeze(self, stride: int | None) -> None:
        count = 0 if stride is None else STRIDES.index(stride) + 2
        for stage in list(self.stages)[:count]:
            stage.requires_grad_(False)
