"""What the peers have in common: logits at stride 8, and auxiliary heads for training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn
from typing_extensions import override

from lc_trt.model.cascade import OUTPUT_STRIDE
from lc_trt.model.layers import Upsample


@dataclass(frozen=True)
class PeerOutput:
    """Output of all heads, at the size (h, w) of the network's output.

    Attributes:
        logits: of the main head, float [N, K, h, w].
        auxiliary: of the auxiliary head, float [N, K, h, w].
        boundary: logits of class boundaries, float [N, 1, h, w]; None where the network has no
            boundary head.
    """

    logits: Tensor
    auxiliary: Tensor
    boundary: Tensor | None = None


class PeerNetwork(nn.Module, ABC):
    """A dense network whose auxiliary heads are used in training only.

    Args:
        classes: number of classes.

    Attributes:
        auxiliary: the heads that inference does without.
    """

    auxiliary: nn.ModuleDict

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.upsample = Upsample(OUTPUT_STRIDE)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Return logits, float [N, K, ceil(H/8), ceil(W/8)].

        Args:
            x: normalised RGB images, float [N, 3, H, W].
        """
        return self.branches(x)[0]

    @abstractmethod
    def branches(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the network without its auxiliary heads.

        Args:
            x: normalised RGB images, float [N, 3, H, W].

        Returns:
            Logits, float [N, K, h, w], and the inputs of the auxiliary heads by name, [N, C, h, w].
        """

    def new_parameters(self) -> list[nn.Parameter]:
        """Parameters with a learning rate of their own: none, since all start at random."""
        return []

    def supervised(self, x: Tensor) -> PeerOutput:
        """Run all heads (deep supervision).

        Args:
            x: normalised RGB images, float [N, 3, H, W].
        """
        logits, inputs = self.branches(x)
        outputs = {name: head(inputs[name]) for name, head in self.auxiliary.items()}
        return PeerOutput(logits, outputs["segmentation"], outputs.get("boundary"))
