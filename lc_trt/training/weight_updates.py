"""What a training step changes: the weights, their moving average, the state of the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn

from lc_trt.model.cascade import StagedNetwork
from lc_trt.model.layers import freeze_batch_norm
from lc_trt.model.network import TrainableNetwork
from lc_trt.training.average import moving_average
from lc_trt.training.config import Phase
from lc_trt.training.objective import Objective
from lc_trt.training.optimizer import new_optimizer

MAX_SKIPPED_IN_A_ROW = 20  # consecutive non-finite steps after which a run has diverged


class WeightUpdates:
    """The weights of a run, their moving average, and the optimizer of its phase.

    Args:
        model: the network; parameters that are frozen now stay so in every phase.
        decay: of the moving average, 0 <= decay < 1.
        phase: the phase of the next step.

    Attributes:
        model: the network.
        average: moving average of its weights, which is what a run saves.
        optimizer: of the phase.
        skipped: steps skipped because their loss or gradient was not finite.
    """

    def __init__(self, model: TrainableNetwork, decay: float, phase: Phase) -> None:
        self.model = model
        self.skipped = 0
        self._decay = decay
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self._skipped_in_a_row = 0
        self._begin(phase)

    def _begin(self, phase: Phase) -> None:
        self._freeze_first_stage(phase)
        self.average = moving_average(self.model, self._decay)
        self.optimizer = new_optimizer(self.model, phase.optimizer)

    def start_phase(self, phase: Phase) -> None:
        """Go on from the averaged weights, with a new average and optimizer.

        Args:
            phase: the phase that starts.
        """
        self.model.load_state_dict(self.average.module.state_dict())
        self.model.zero_grad()  # of parameters that the new optimizer does not have
        self._begin(phase)

    def train_mode(self, phase: Phase) -> None:
        """Switch the network to training mode, but not what the phase keeps as it is.

        Args:
            phase: the phase of the next step.
        """
        self.model.train()
        if phase.freeze_batch_norm:
            freeze_batch_norm(self.model)
        if phase.freeze_first_stage:
            for module in cast(StagedNetwork, self.model).first_stage():
                module.eval()

    def _freeze_first_stage(self, phase: Phase) -> None:
        """Fix the parameters of stage 1 in a phase that trains the later stages alone."""
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        if phase.freeze_first_stage:
            for module in cast(StagedNetwork, self.model).first_stage():
                module.requires_grad_(False)

    def step(self, compute_loss: Callable[[], Objective], rate: float, clip: float) -> Objective:
        """Update weights and average, unless the loss or gradient is not finite.

        Args:
            compute_loss: runs the network and returns the loss of a batch.
            rate: learning rate of the trunk.
            clip: largest norm of the gradient.

        Returns:
            The loss.
        """
        buffers = [b.clone() for b in self.model.buffers()]
        loss = compute_loss()
        self.optimizer.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        if torch.isfinite(loss.total) and torch.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            self.optimizer.step()
            self.average.update_parameters(self.model)
            self._skipped_in_a_row = 0
            return loss
        # The forward pass has already updated the batch-norm statistics.
        for buffer, before in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        self.skipped += 1
        self._skipped_in_a_row += 1
        return loss

    @property
    def diverged(self) -> bool:
        """Whether the last `MAX_SKIPPED_IN_A_ROW` steps were all skipped."""
        return self._skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW

    def state(self) -> dict[str, Any]:
        """What `load` takes, for the state of a run."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "refused": self.skipped,
        }

    def load(self, state: Mapping[str, Any], phase: Phase, *, new_phase: bool) -> None:
        """Go on from a saved state.

        Args:
            state: of `state`.
            phase: the phase of the next step.
            new_phase: whether that step is the first of the phase, whose optimizer is empty.
        """
        self._begin(phase)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.skipped = state["refused"]
        if not new_phase:
            self.optimizer.load_state_dict(state["optimizer"])
