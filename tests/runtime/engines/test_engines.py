"""The engines against the toy networks."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from compilation import CPU_BACKENDS
from toy_models import SIZE, bgr, toy_model

from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError

RHO = np.array([0.9, 0.8], np.float32)


@pytest.fixture(params=CPU_BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name)
    return name


def test_a_cascade_gives_labels_stages_and_confidence(backend: str) -> None:
    engine = open_onnx(backend, toy_model(), threads=1)
    assert (engine.backend, engine.kind, engine.size, engine.batch) == (backend, "cascade", SIZE, 1)
    image = bgr(250, 10, 10)
    image[:, 20:40] = (10, 250, 200)
    image[:, 40:] = (10, 10, 100)
    out = engine.run(image[None], RHO)
    assert out.labels.dtype == np.uint8 and out.labels.shape == (1, *SIZE)
    assert np.array_equal(out.labels[0], image[:, :, 2] // 64)
    cells = image[::8, ::8]
    assert out.stages is not None and out.stages.dtype == np.uint8
    expected = np.where(cells[..., 0] == 250, 1, np.where(cells[..., 1] == 250, 2, 3))
    assert np.array_equal(out.stages[0], expected)
    assert out.confidence.dtype == np.float32
    assert np.allclose(out.confidence[0], np.choose(expected - 1, np.moveaxis(cells, 2, 0)) / 255)


def test_rho_moves_the_stages_without_a_rebuild(backend: str) -> None:
    engine = open_onnx(backend, toy_model(), threads=1)
    image = bgr(128, 255, 255)[None]
    for rho, stage in (((-1, -1), 1), ((0.6, 0.5), 2), ((1, 1), 3)):
        out = engine.run(image, np.array(rho, np.float32))
        assert out.stages is not None and (out.stages == stage).all()


def test_a_dense_network_has_no_stages_and_takes_no_rho(backend: str) -> None:
    engine = open_onnx(backend, toy_model("dense", batch=2), threads=1)
    assert (engine.kind, engine.batch) == ("dense", 2)
    assert engine.run(np.stack([bgr(0, 0, 70)] * 2)).stages is None
    with pytest.raises(ValueError, match="takes none"):
        engine.run(np.stack([bgr(0, 0, 70)] * 2), RHO)


def test_an_output_is_not_overwritten_by_the_next_pass(backend: str) -> None:
    engine = open_onnx(backend, toy_model(), threads=1)
    first = engine.run(bgr(255, 0, 0)[None], RHO)
    engine.run(bgr(0, 0, 255)[None], RHO)
    assert first.stages is not None and (first.stages == 1).all()
    assert (first.labels == 0).all() and (first.confidence == 1).all()


def test_threads_share_an_engine(backend: str) -> None:
    engine = open_onnx(backend, toy_model(), threads=1)
    wrong = []

    def work(level: int) -> None:
        for _ in range(30):
            out = engine.run(bgr(255, 0, level)[None], RHO)
            if not (out.labels == level // 64).all():
                wrong.append(level)

    workers = [threading.Thread(target=work, args=(level,)) for level in (0, 70, 140, 210)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_closed_engine_says_so(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(toy_model())
    engine = open_onnx(backend, file)
    engine.close()
    engine.close()
    with pytest.raises(LcTrtError, match="closed"):
        engine.run(bgr(0, 0, 0)[None], RHO)


def test_what_is_no_model_is_named(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(toy_model()[:100])
    with pytest.raises(LcTrtError, match=rf"broken\.onnx: {backend} cannot read it") as caught:
        open_onnx(backend, file)
    assert "\n" not in str(caught.value)
    with pytest.raises(LcTrtError, match="no such file"):
        open_onnx(backend, tmp_path / "none.onnx")
