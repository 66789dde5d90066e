"""The engine of TensorRT on a GPU, against ONNX Runtime and with arrays of torch."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import onnx
import pytest
from tiny_networks import frames, middle_rho, run, session, tiny_model

import lc_trt
from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.bundle.sections import Profile
from lc_trt.errors import LcTrtError
from lc_trt.trt import api as trt
from lc_trt.utils.machine import current_gpu

pytestmark = pytest.mark.gpu

SIZE = (52, 75)
PROFILE = Profile(1, 2, 4)


@pytest.fixture(scope="module", params=["irnet", "inception"])
def built(request, tmp_path_factory):
    """A bundle of a tiny cascade in FP32 for one to four images, and its exchange model."""
    gpu = current_gpu()
    if trt.installed() is None:
        pytest.skip("needs TensorRT: pip install 'lc-trt[tensorrt]'")
    if trt.load().rtx and gpu and gpu.compute_capability not in trt.load().compute_capabilities():
        pytest.skip(f"TensorRT for RTX does not run on {gpu.name} ({gpu.compute_capability})")
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny_model(request.param)
    onnx.save(model, folder / "model.onnx")
    bundle = build(
        folder / "model.onnx",
        folder / "model.lct",
        compile_options("tensorrt", SIZE, PROFILE, "fp32"),
    )
    return bundle, model


@pytest.fixture
def segmenter(built):
    with lc_trt.load(built[0].path) as loaded:
        yield loaded


def test_it_equals_onnx_runtime_at_each_batch_and_while_graphs_are_made(built, segmenter, caplog):
    reference = session(built[1])
    for count in (1, 1, 1, 2, 2, 2, 4, 1):
        images = frames(count, SIZE)
        rho = middle_rho(reference, images)
        output = segmenter.engine.run(images, np.array(rho, np.float32))
        expected = run(reference, images, rho)
        assert (output.labels == expected["labels"]).mean() > 0.99
        assert (output.stages == expected["stages"]).mean() > 0.99
    assert "no CUDA graph" not in caplog.text


@pytest.mark.parametrize("shares", ["nobody", "everybody"])
def test_regions_may_be_empty_or_full(built, segmenter, shares):
    images = frames(2, SIZE)
    level = {"nobody": -1.0, "everybody": 1.0}[shares]
    expected = run(session(built[1]), images, (level, level))
    for _ in range(3):
        output = segmenter.engine.run(images, np.full(2, level, np.float32))
        assert np.array_equal(output.stages, expected["stages"])
        assert (output.labels == expected["labels"]).mean() > 0.99


def test_threads_give_the_same_results(segmenter):
    images = [frames(1, SIZE, seed) for seed in range(4)]
    rho = np.array([0.5, 0.4], np.float32)
    alone = [segmenter.engine.run(image, rho).labels for image in images]
    wrong = []

    def work(index):
        for _ in range(20):
            if not np.array_equal(segmenter.engine.run(images[index], rho).labels, alone[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_torch_goes_in_and_out_on_its_stream(segmenter):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a torch with CUDA")
    images = frames(2, SIZE)
    rho = np.array([0.5, 0.4], np.float32)
    expected = segmenter.engine.run(images, rho)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        on_gpu = torch.empty(images.shape, dtype=torch.uint8, device="cuda")
        for turn in range(5):
            on_gpu.copy_(torch.from_numpy(np.roll(images, turn, 0)))
            output = segmenter.run_device(on_gpu, tuple(map(float, rho)), stream=stream)
            labels = torch.from_dlpack(output.labels).clone()
            assert torch.as_tensor(output.labels, device="cuda").data_ptr() == output.labels.address
            found = np.roll(labels.cpu().numpy(), -turn, 0)
            assert (found == expected.labels).mean() > 0.99


def test_an_engine_of_another_version_is_refused(built, tmp_path):
    copy = tmp_path / "copy.lct"
    shutil.copytree(built[0].path, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["tensorrt"]["version"] = "10.13.0.1"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(LcTrtError, match="needs exactly that version"):
        lc_trt.load(copy)
