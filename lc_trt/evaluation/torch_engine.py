"""Runs a checkpoint as an engine, in PyTorch and without export."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.manifest import Manifest
from lc_trt.data.classes import find_classes
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import CONFIDENCE, IMAGE, LABELS, RHO, STAGES
from lc_trt.ir.metadata import ModelInfo
from lc_trt.runtime.engines.base import HostEngine

if TYPE_CHECKING:  # evaluating a bundle does not need PyTorch
    from lc_trt.model.cascade import Cascade


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
        model: Cascade,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        size: tuple[int, int],
        threads: int | None = None,
    ) -> None:
        import torch

        super().__init__(
            "checkpoint", {IMAGE: (1, *size, 3), RHO: (2,)}, {LABELS, STAGES, CONFIDENCE}
        )
        self._model: Cascade | None = model.eval()
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

    from lc_trt.model.baselines import PEERS
    from lc_trt.model.presets import build_cascade, find_preset
    from lc_trt.training.checkpoint import load_into, load_weights

    trained = load_weights(path)[1]
    if not {"preset", "classes"} <= set(trained):
        raise LcTrtError(
            f"{path}: names no network and classes; expected weights written by 'lc-trt train'"
        )
    if trained["preset"] in PEERS:
        raise UsageError(
            f"{path}: {trained['preset']} has no stages and is evaluated as plain ONNX: lc-trt "
            f"export --checkpoint {path} -o peer.onnx, then lc-trt eval peer.onnx --classes "
            f"{trained['classes']}"
        )
    preset = find_preset(trained["preset"])
    labels = find_classes(trained["classes"])
    model = build_cascade(preset.name, len(labels), trained.get("heads"))
    load_into(model, path)
    manifest = Manifest(
        backend=TorchEngine.backend,
        backend_version=torch.__version__,
        kind="cascade",
        name=preset.name,
        model_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        classes=labels.names,
        colours=labels.colours,
        size=size,
        default_rho=ModelInfo.default_rho,
        fast_rho=ModelInfo.fast_rho,
    )
    return TorchEngine(model, preset.mean, preset.std, size, threads), manifest
