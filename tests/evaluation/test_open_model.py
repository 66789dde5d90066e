"""A checkpoint, its ONNX and its bundle have the same figures; other files are refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import tiny_networks
import torch
from onnx import TensorProto, helper, numpy_helper
from toy_models import toy_bundle, toy_model

from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.compiler.frontend.import_model import ImportOptions
from lc_trt.data.classes import numbered
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.data import open_samples
from lc_trt.evaluation.evaluate import Evaluation, evaluate
from lc_trt.evaluation.open_model import open_model
from lc_trt.model import presets
from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.presets import Preset
from lc_trt.training.checkpoint import save_weights
from lc_trt.training.export import export_file

TINY = Preset(
    "tiny", irnet_trunk, (1, 1, 2), 0.125, "plain", 8, tiny_networks.MEAN, tiny_networks.STD
)
CLASSES = tiny_networks.CLASSES
SIZE = (52, 76)  # no multiple of 8
PHOTOGRAPH = (70, 90)  # what the network sees is resized, and its labels are
IMAGES = 4


@pytest.fixture(scope="module", autouse=True)
def tiny_preset():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "tiny", TINY)
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    facts = {"preset": "tiny", "classes": str(CLASSES), "heads": None}
    save_weights(path, tiny_networks.tiny_cascade(), facts)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    path = checkpoint.with_suffix(".onnx")
    export_file(path, preset=None, checkpoint=checkpoint, size=SIZE)
    return path


@pytest.fixture(scope="module")
def rho(exported: Path) -> tuple[float, float]:
    """Thresholds at which pixels exit at every stage."""
    images = tiny_networks.frames(IMAGES, PHOTOGRAPH)
    fitting = np.stack([cv2.resize(image, SIZE[::-1]) for image in images])
    session = tiny_networks.session(onnx.load(exported))
    return tiny_networks.middle_rho(session, fitting)


@pytest.fixture(scope="module")
def data(checkpoint: Path, rho: tuple[float, float], tmp_path_factory) -> Path:
    """Photographs labelled with the network's own output, except for a third of the blocks."""
    root = tmp_path_factory.mktemp("data")
    for kind in ("images", "labels"):
        (root / "val" / kind).mkdir(parents=True)
    rng = np.random.default_rng(5)
    with open_model(checkpoint, ImportOptions(SIZE), threads=1) as segmenter:
        for i, image in enumerate(tiny_networks.frames(IMAGES, PHOTOGRAPH)):
            label = segmenter(image, rho).labels.copy()
            other = rng.integers(0, CLASSES, (7, 9), np.uint8).repeat(10, 0).repeat(10, 1)
            wrong = (rng.random((7, 9)) < 0.33).repeat(10, 0).repeat(10, 1)
            label[wrong] = other[wrong]
            label[:5] = 255
            cv2.imwrite(str(root / "val" / "images" / f"{i}.png"), image)
            cv2.imwrite(str(root / "val" / "labels" / f"{i}.png"), label)
    return root


def figures(model: Path, data: Path, rho: tuple[float, float], size=None) -> Evaluation:
    classes = numbered(CLASSES)
    with open_model(model, ImportOptions(size), threads=1) as segmenter:
        assert segmenter.manifest.classes == classes.names
        samples = open_samples("folder", data, "val", classes)
        return evaluate(segmenter, samples, classes.names, rho)


def test_checkpoint_onnx_and_bundle_agree(
    checkpoint: Path, exported: Path, data: Path, rho: tuple[float, float], tmp_path: Path
) -> None:
    trained = figures(checkpoint, data, rho, SIZE)
    assert trained.shares is not None and trained.stages is not None
    assert min(trained.shares) > 0.1, "every stage takes part"
    assert 0.2 < trained.miou < 0.9, "neither right nor wrong by chance"
    bundles = [
        build(exported, tmp_path / f"{backend}.lct", compile_options(backend)).path
        for backend in ("openvino", "onnxruntime")
    ]
    for other in (exported, *bundles):
        found = figures(other, data, rho)
        assert abs(found.miou - trained.miou) <= 0.002
        assert found.pixel_accuracy == pytest.approx(trained.pixel_accuracy, abs=0.002)
        assert found.iou == pytest.approx(trained.iou, abs=0.005)
        assert found.shares == pytest.approx(trained.shares, abs=0.005)
        assert found.stages is not None
        assert found.stages.near_boundary == pytest.approx(trained.stages.near_boundary, abs=0.01)


def test_a_checkpoint_takes_any_size_and_the_exports_by_default(checkpoint: Path) -> None:
    before = torch.get_num_threads()
    for size, expected in ((None, (300, 500)), ((41, 66), (41, 66))):
        with open_model(checkpoint, ImportOptions(size), threads=before + 1) as segmenter:
            assert segmenter.engine.size == expected
            assert torch.get_num_threads() == before + 1
            manifest = segmenter.manifest
            assert (manifest.backend, manifest.name) == ("pytorch", "tiny")
            assert (manifest.default_rho, manifest.fast_rho) == ((0.985, 0.985), (0.8, 0.8))
        assert torch.get_num_threads() == before
    with pytest.raises(LcTrtError, match="closed"):
        segmenter(np.zeros((*SIZE, 3), np.uint8))


def test_an_onnx_and_a_bundle_have_their_own_size(exported: Path, tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "toy.lct").path
    for path, own in ((exported, "52x76"), (bundle, "36x60")):
        with pytest.raises(UsageError, match=f"--size 64x64: .* has size {own}; omit --size"):
            open_model(path, ImportOptions((64, 64)))
    with open_model(exported, ImportOptions(SIZE)) as segmenter:
        assert segmenter.engine.size == SIZE


def test_a_plain_onnx_is_a_dense_model(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], strides=[4, 4])],
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, None, None])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path / "plain.onnx"
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    with open_model(path, ImportOptions((32, 48))) as segmenter:
        result = segmenter(np.zeros((32, 48, 3), np.uint8))
    assert (segmenter.manifest.kind, result.shares) == ("dense", None)
    assert segmenter.manifest.classes == numbered(4).names


def test_errors(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match="no such file; expected a checkpoint"):
        open_model(tmp_path / "nowhere.lct")
    other = tmp_path / "model.pth"
    other.write_bytes(b"")
    with pytest.raises(LcTrtError, match=r"model.pth: unknown file type; expected a checkpoint"):
        open_model(other)
    with pytest.raises(UsageError, match="size 8x8"):
        open_model(checkpoint, ImportOptions((8, 8)))
    unnamed = tmp_path / "unnamed.onnx"
    unnamed.write_bytes(toy_model())
    with pytest.raises(LcTrtError, match="no lc_trt metadata"):
        open_model(unnamed)
