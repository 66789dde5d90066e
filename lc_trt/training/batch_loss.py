"""The loss of a batch, from images and labels as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lc_trt.data.classes import ClassSet
from lc_trt.model.network import NetworkSpec, TrainableNetwork
from lc_trt.training.batches import Image
from lc_trt.training.config import Phase, TrainConfig
from lc_trt.training.losses import apply_temperature
from lc_trt.training.normalise import Normalise
from lc_trt.training.objective import Objective, TeacherTarget, objective
from lc_trt.training.teacher import Teacher


class BatchLoss:
    """The loss of a batch: input, class weights, teacher and precision of a configuration.

    Args:
        config: the configuration.
        network: the definition of its network.
        classes: of the labels.
        class_weight: float32 [classes], one weight per class; None where no phase uses them.
        device: torch device.

    Attributes:
        to_input: converts BGR images, uint8 [N, H, W, 3], to the network's input.
        teacher: of knowledge distillation; None without.

    Raises:
        LcTrtError: a teacher that cannot be used.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: NetworkSpec,
        classes: ClassSet,
        class_weight: npt.NDArray[np.float32] | None,
        device: str,
    ) -> None:
        self._config, self._device = config, device
        self._class_weight = (
            None if class_weight is None else torch.from_numpy(class_weight).to(device)
        )
        self.to_input = Normalise(*network.normalisation, device=device, rgb=network.rgb)
        self.teacher: Teacher | None = None
        if config.distil.teacher:
            self.teacher = Teacher(
                Path(config.distil.teacher), classes, config.batch, config.augment.crop
            )

    def __call__(
        self, model: TrainableNetwork, image: Image, label: Image, phase: Phase
    ) -> Objective:
        """Run the network on a batch.

        Args:
            model: the network.
            image: BGR, uint8 [N, H, W, 3].
            label: class index per pixel, uint8 [N, H, W]; 255 is ignored.
            phase: says which loss.
        """
        x, y = self.to_input(image), torch.from_numpy(label).to(self._device)
        weight = self._class_weight if phase.class_weights == "log" else None
        target = None
        if self.teacher is not None:
            probabilities = torch.from_numpy(self.teacher(image)).to(self._device)
            distil = self._config.distil
            target = TeacherTarget(
                apply_temperature(probabilities, distil.temperature), distil.weight
            )
        with self.autocast():
            return objective(model, x, y, phase, weight, teacher=target)

    def autocast(self) -> torch.autocast:
        """The context in which the network runs in the precision of the configuration."""
        enabled = self._config.precision == "bf16"
        return torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=enabled)
