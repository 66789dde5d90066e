"""Networks as exchange ONNX, with random weights or from a file, and lowered for TensorRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor

from lc_trt.backends.registry import get_backend
from lc_trt.bundle.sections import Profile
from lc_trt.compiler.frontend.import_model import import_model
from lc_trt.compiler.frontend.read_onnx import exchange_kind
from lc_trt.compiler.options import CompileOptions, Quantization
from lc_trt.data.classes import find_classes
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade, export_dense
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.cascade import Cascade, Dense
from lc_trt.model.layers import BatchNorm
from lc_trt.model.presets import build_cascade, build_dense, find_network
from lc_trt.video.sample_frames import load_frames

CLASS_SET = "voc"  # PASCAL VOC, the published tables' data set
PRECISIONS = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
KINDS = (*PRECISIONS, "int8")
TENSORRT = "tensorrt"
# Profiles, for symbolic sizes and batches.
_ANY_SIZE, _ANY_BATCH = Profile((32, 32), (300, 500), (8192, 8192)), Profile(1, 1, 64)
# Placeholders: shapes do not depend on them, and such an INT8 network is not run.
_RANGE = (-1.0, 1.0)

Images = npt.NDArray[np.uint8]


def photographs(batch: int, count: int, size: tuple[int, int]) -> list[Images]:
    """Batches of different photographs, uint8 [N, H, W, 3], BGR.

    Args:
        batch: images per batch.
        count: number of batches.
        size: (height, width) in pixels.
    """
    images = np.stack(load_frames(None, batch * count, size))
    return [images[i * batch : (i + 1) * batch] for i in range(count)]


def random_cascade(
    preset: str, images: Images | None = None, device: torch.device | None = None
) -> onnx.ModelProto:
    """A preset's cascade with random weights, the same for each call.

    Args:
        preset: name of the preset.
        images: images for the batch norm statistics (`calibrate`); None keeps the initial ones.
        device: device to compute them on; None for the CPU.
    """
    return _export(preset, build_cascade, images, device)


def random_dense(
    name: str, images: Images | None = None, device: torch.device | None = None
) -> onnx.ModelProto:
    """A dense network with random weights, as `random_cascade`.

    Args:
        name: name of a preset or a published baseline.
        images: images for the batch norm statistics; None keeps the initial ones.
        device: device to compute them on; None for the CPU.
    """
    return _export(name, build_dense, images, device)


def _export(
    name: str,
    build: Callable[[str, int], Cascade | Dense],
    images: Images | None,
    device: torch.device | None,
) -> onnx.ModelProto:
    network, classes = find_network(name), find_classes(CLASS_SET)
    torch.manual_seed(0)
    model = build(name, len(classes)).eval()
    if images is not None:
        x = (images - np.asarray(network.mean)) / np.asarray(network.std)
        batch = torch.from_numpy(x.astype(np.float32)).permute(0, 3, 1, 2)
        calibrate(model.to(device), batch.to(device))
    kind = "cascade" if isinstance(model, Cascade) else "dense"
    info = ModelInfo(kind, name, classes.names, classes.colours)
    if isinstance(model, Cascade):
        return export_cascade(model, info, network.mean, network.std)
    return export_dense(model, info, network.mean, network.std)


@torch.no_grad()
def calibrate(network: Cascade | Dense, x: Tensor) -> None:
    """Set the statistics of every batch norm to those of a batch.

    Otherwise activations of random weights exceed FP16 (in ResNet-101), and a GPU processes
    infinities and zeros faster than other values.

    Args:
        network: changed in place.
        x: float [N, 3, H, W], normalised.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    network.eval()
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if isinstance(network, Cascade):
        network.deep(x)
    else:
        network(x)
    for norm in norms:
        norm.momentum = BatchNorm.momentum
        norm.eval()


def read_cascade(path: Path) -> onnx.ModelProto:
    """Read a cascade in the exchange format.

    Args:
        path: file, such as a shipped ``model.onnx``.

    Raises:
        LcTrtError: not a cascade.
    """
    model = import_model(path).model
    if exchange_kind(model) != "cascade":
        raise LcTrtError(f"{path}: a dense network, expected a cascade; 'lc-trt export' writes one")
    return model


def lower(
    source: onnx.ModelProto, size: tuple[int, int] | None, batch: int | None, kind: str
) -> onnx.ModelProto:
    """Lower a network to the ONNX for TensorRT's parser.

    Args:
        source: exchange model, cascade or dense.
        size: (height, width) in pixels; None for symbolic.
        batch: images per pass; None for symbolic.
        kind: one of `KINDS`; INT8 has placeholder ranges, valid for shapes only.
    """
    ranges = {name: _RANGE for node in source.graph.node for name in node.output}
    options = CompileOptions.of(
        TENSORRT,
        size or _ANY_SIZE,
        batch or _ANY_BATCH,
        PRECISIONS.get(kind, kind),
        "fp16",
        quantization=Quantization(ranges) if kind == "int8" else None,
    )
    return get_backend(TENSORRT).lower(source, options)
