"""Runs a checkpoint as an engine, in PyTorch and without export."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.manifest import Manifest
from lc_trt.ir.interface import CONFIDENCE, IMAGE, LABELS, RHO, STAGES
from lc_trt.ir.metadata import ModelInfo
from lc_trt.runtime.engines.base import HostEngine

if TYPE_CHECKING:  # evaluating a bundle does not need PyTorch
    from lc_trt.model.cascade import StagedNetwork


class TorchEngine(HostEngine):
    """A cascade in PyTorch on the CPU, with batch size 1.

    Args:
        model: the cascade.
        mean: input normalisation, BGR, in units of 0..255.
        std: likewise.
        size: input (height, width) in pixels.
        threads: CPU threads of the process until the engine is closed; None leaves them unchanged.
    """

    backend = "pytorch"

    def __init__(
        self,
        model: StagedNetwork,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        size: tuple[int, int],
        threads: int | None = None,
    ) -> None:
        import torch

        super().__init__(
            "checkpoint", {IMAGE: (1, *size, 3), RHO: (2,)}, {LABELS, STAGES, CONFIDENCE}
        )
        self._model: StagedNetwork | None = model.eval()
        self._mean = torch.tensor(mean).view(1, 3, 1, 1)
        self._std = torch.tensor(std).view(1, 3, 1, 1)
        self._threads = torch.get_num_threads()
        if threads is not None:
            torch.set_num_threads(threads)

    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        import torch

        assert self._model is not None
        image = torch.from_numpy(feed[IMAGE]).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            output = self._model((image - self._mean) / self._std, feed[RHO].tolist())
            labels = self._model.upsample(output.probabilities, self.size).argmax(1)
        return {
            LABELS: labels.numpy().astype(np.uint8),
            STAGES: output.stages[:, 0].numpy(),
            CONFIDENCE: output.confidence[:, 0].numpy(),
        }

    def _release(self) -> None:
        import torch

        self._model = None
        torch.set_num_threads(self._threads)


def open_checkpoint(
    path: Path, size: tuple[int, int], threads: int | None = None
) -> tuple[TorchEngine, Manifest]:
    """Open a checkpoint.

    Args:
        path: weights written by ``lc-trt train``.
        size: input (height, width) in pixels.
        threads: CPU threads of the process; None leaves them unchanged.

    Returns:
        The engine, and the manifest that a bundle of it would have.

    Raises:
        LcTrtError: not such weights, or weights that do not fit the network they name.
        UsageError: weights of a peer.
    """
    import torch

    from lc_trt.training.trained_network import open_network

    network = open_network(path)
    manifest = Manifest(
        backend=TorchEngine.backend,
        backend_version=torch.__version__,
        kind="cascade",
        name=network.spec.name,
        model_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        classes=network.classes.names,
        colours=network.classes.colours,
        size=size,
        default_rho=ModelInfo.default_rho,
        fast_rho=ModelInfo.fast_rho,
    )
    return TorchEngine(network.model, *network.spec.normalisation, size, threads), manifest
