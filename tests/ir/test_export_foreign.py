"""A peer as plain ONNX: imported like any foreign network, and equal to PyTorch in both engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from compilation import CPU_BACKENDS
from tiny_networks import frames

import lc_trt
from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.compiler.frontend.import_model import ImportOptions, import_model
from lc_trt.compiler.frontend.read_onnx import exchange_kind
from lc_trt.compiler.frontend.wrap_dense import Normalisation
from lc_trt.data.classes import CLASS_SETS
from lc_trt.ir.export_foreign import export_foreign
from lc_trt.ir.metadata import read_info
from lc_trt.model.baselines import PEERS
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.layers import BatchNorm
from lc_trt.model.presets import build_peer

CAMVID = CLASS_SETS["camvid"]


def peer(name: str) -> PeerNetwork:
    """A peer whose batch norms and labels are not trivial."""
    torch.manual_seed(0)
    model = build_peer(name, len(CAMVID)).eval()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.7, 1.3)
    torch.nn.init.normal_(model.head.classifier.conv.weight, std=0.3)
    return model


@pytest.fixture(params=PEERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def expected(model: PeerNetwork, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels, uint8 [N, H, W], and confidence, float32 [N, h, w], of PyTorch."""
    norm = Normalisation()
    x = torch.from_numpy(images[..., ::-1].copy()).float()
    x = ((x - torch.tensor(norm.mean)) / torch.tensor(norm.std)).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = model(x)
        size = images.shape[1:3]
        full = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False)
    return full.argmax(1).byte().numpy(), logits.softmax(1).amax(1).numpy()


def test_the_file_is_plain_onnx_without_auxiliary_heads(name: str) -> None:
    model = build_peer(name, 3)
    exported = export_foreign(model, name)
    assert exchange_kind(exported) is None and read_info(exported) is None
    assert exported.graph.name == name
    assert [v.name for v in (*exported.graph.input, *exported.graph.output)] == ["image", "logits"]
    assert not any("auxiliary" in t.name for t in exported.graph.initializer)
    weights = sum(np.prod(t.dims) for t in exported.graph.initializer)
    auxiliary = sum(p.numel() for p in model.auxiliary.parameters())
    parameters = sum(p.numel() for p in model.parameters()) - auxiliary
    assert 0.98 * parameters < weights < 1.02 * parameters


@pytest.mark.slow
@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("size", [(96, 136), (60, 75)])
def test_an_engine_equals_pytorch(
    name: str, backend: str, size: tuple[int, int], tmp_path: Path
) -> None:
    model, path = peer(name), tmp_path / "peer.onnx"
    onnx.save(export_foreign(model, name), path)
    imports = ImportOptions(classes=CAMVID)
    assert import_model(path, ImportOptions(size, CAMVID)).info.kind == "dense"
    bundle = build(path, tmp_path / "p.lct", compile_options(backend, size=size), imports=imports)
    assert bundle.manifest.name == name and bundle.manifest.classes == CAMVID.names
    images = frames(2, size)
    labels, confidence = expected(model, images)
    assert len(np.unique(labels)) > 2
    with lc_trt.load(bundle.path) as segmenter:
        for image, label, certain in zip(images, labels, confidence, strict=True):
            result = segmenter(image)
            assert (result.labels == label).mean() > 0.995
            np.testing.assert_allclose(result.cell_confidence, certain, atol=1e-3)
