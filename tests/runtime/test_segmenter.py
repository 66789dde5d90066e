"""The library's front door, on bundles of toy networks."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from compilation import CPU_BACKENDS
from hypothesis import given
from hypothesis import strategies as st
from toy_models import (
    CLASSES,
    COLOURS,
    DEFAULT_RHO,
    FAST_RHO,
    SIZE,
    bgr,
    thirds,
    toy_bundle,
    toy_manifest,
)
from toy_models import toy_model as model

import lc_trt
from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.segmenter import Segmenter

TOY = Segmenter(open_onnx("onnxruntime", model(), threads=1), toy_manifest())


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    path = toy_bundle(tmp_path_factory.mktemp("toy") / "toy.lct").path
    return lc_trt.load(path, threads=1)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    path = toy_bundle(tmp_path_factory.mktemp("toy") / "dense.lct", "dense").path
    return lc_trt.load(path, threads=1)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("size", [SIZE, (360, 600), (18, 30), (37, 61)])
def test_a_frame_of_any_size(tmp_path: Path, backend: str, size: tuple[int, int]) -> None:
    path = toy_bundle(tmp_path / "toy.lct", backend=backend).path
    with lc_trt.load(str(path), threads=1) as segmenter:
        result = segmenter(thirds(size))
    assert result.labels.shape == size and result.labels.dtype == np.uint8
    assert result.stages is not None and result.stages.shape == size
    assert result.confidence.shape == size and result.confidence.dtype == np.float32
    h, w = size
    for x, label, stage, confidence in (
        (w // 8, 0, 1, 1.0),
        (w // 2, 3, 2, 1.0),
        (w - 2, 1, 3, 70 / 255),
    ):
        assert result.labels[h // 2, x] == label
        assert result.stages[h // 2, x] == stage
        assert result.confidence[h // 2, x] == pytest.approx(confidence, abs=0.02)
    assert result.rho == DEFAULT_RHO
    assert result.classes == CLASSES and result.colours == COLOURS


def test_shares_are_counted_on_the_stages(segmenter: Segmenter) -> None:
    result = segmenter(thirds(SIZE))
    assert result.cell_stages is not None and result.shares is not None
    assert result.cell_stages.shape == (5, 8)
    assert result.shares == pytest.approx([(result.cell_stages == s).mean() for s in (1, 2, 3)])
    assert min(result.shares) > 0.2 and sum(result.shares) == pytest.approx(1)


def test_rho_moves_at_run_time(segmenter: Segmenter) -> None:
    frame = bgr(round(0.6 * 255), round(0.6 * 255), 0)
    assert segmenter(frame).shares == (0, 0, 1)  # 0.9, 0.8
    assert segmenter(frame, "fast").shares == (1, 0, 0)
    assert segmenter(frame, "fast").rho == FAST_RHO
    assert segmenter(frame, (0.7, 0.5)).shares == (0, 1, 0)
    assert segmenter(frame, 0.5).shares == (1, 0, 0)
    assert segmenter(bgr(255, 255, 255), 1).shares == (0, 0, 1)


@pytest.mark.parametrize("rho", [1.5, -1, float("nan"), (0.5, 2), (0.1, 0.2, 0.3), "quick"])
def test_a_wrong_rho_is_refused(segmenter: Segmenter, rho: object) -> None:
    with pytest.raises(UsageError, match=r"rho .*expected one or two numbers from 0 to 1, or fast"):
        segmenter(bgr(0, 0, 0), rho)  # type: ignore[arg-type]


def test_a_dense_network(dense: Segmenter) -> None:
    result = dense(thirds((72, 120)))
    assert result.stages is None and result.shares is None and result.rho is None
    assert result.labels[0, 119] == 1
    assert result.side_by_side().shape == (72, 240, 3)
    with pytest.raises(UsageError, match="no stages"):
        result.stage_map()
    with pytest.raises(UsageError, match="dense"):
        dense(bgr(0, 0, 0), 0.5)


@given(count=st.integers(0, 7), batch=st.integers(1, 3))
def test_a_batch_equals_its_frames_one_by_one(count: int, batch: int) -> None:
    engine = open_onnx("onnxruntime", model(batch=batch), threads=1)
    several = Segmenter(engine, toy_manifest(batch=batch))
    frames = [thirds((20 + 7 * i, 90 - 5 * i)) // (i + 1) for i in range(count)]
    results = several.batch(frames, "fast")
    assert len(results) == count
    for frame, result in zip(frames, results, strict=True):
        alone = several(frame, "fast")
        assert result.frame is frame
        assert np.array_equal(result.labels, alone.labels)
        assert np.array_equal(result.stages, alone.stages)  # type: ignore[arg-type]
        assert np.array_equal(result.confidence, alone.confidence)
        assert result.shares == alone.shares


def test_a_bad_frame_in_a_batch_is_refused_before_any_runs(segmenter: Segmenter) -> None:
    with pytest.raises(UsageError, match="GRAY2BGR"):
        segmenter.batch([bgr(0, 0, 0), np.zeros((5, 5), np.uint8)])


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    fit=st.sampled_from(["stretch", "letterbox"]),
)
def test_maps_have_the_size_of_any_frame(size: tuple[int, int], fit: str) -> None:
    segmenter = Segmenter(TOY.engine, toy_manifest(), fit=fit)
    result = segmenter(bgr(0, 0, 200, size))
    assert result.stages is not None
    for pixels in (result.labels, result.stages, result.confidence):
        assert pixels.shape == size
    # One colour all over: nothing of the grey around a letterboxed frame gets into it.
    assert (result.labels == 3).all() and result.areas == (0, 0, 0, 1)
    assert result.overlay().shape == (*size, 3)


def test_four_thousand_pixels_wide() -> None:
    result = Segmenter(TOY.engine, toy_manifest(), fit="letterbox")(bgr(255, 0, 70, (2160, 3840)))
    assert result.labels.shape == result.confidence.shape == (2160, 3840)
    assert (result.labels == 1).all() and result.overlay().shape == (2160, 3840, 3)


def test_a_letterboxed_frame_keeps_its_places(segmenter: Segmenter) -> None:
    boxed = Segmenter(segmenter.engine, segmenter.manifest, fit="letterbox")
    frame = thirds((60, 30))  # upright, and the engine's image lies
    result = boxed(frame)
    assert [result.labels[30, x] for x in (3, 15, 27)] == [0, 3, 1]
    assert result.stages is not None and result.shares is not None
    with pytest.raises(UsageError, match="fit 'crop'"):
        Segmenter(segmenter.engine, segmenter.manifest, fit="crop")


@given(
    shape=st.lists(st.integers(0, 5), min_size=0, max_size=4).map(tuple),
    dtype=st.sampled_from(["uint8", "int8", "uint16", "float32", "float64", "bool"]),
)
def test_any_array_is_segmented_or_refused_in_words(shape: tuple[int, ...], dtype: str) -> None:
    frame = np.zeros(shape, dtype)
    good = dtype == "uint8" and len(shape) == 3 and shape[2] == 3 and frame.size
    if good:
        assert TOY(frame).labels.shape == shape[:2]
    else:
        with pytest.raises(UsageError, match=r"^frame is .*expected uint8 \[H, W, 3\]"):
            TOY(frame)


def test_timing_adds_up(segmenter: Segmenter) -> None:
    timing = segmenter(thirds((300, 300))).timing
    assert set(timing) == {"prepare", "engine", "finish", "total"}
    assert all(value > 0 for value in timing.values())
    assert timing["total"] == pytest.approx(timing["prepare"] + timing["engine"] + timing["finish"])


def test_threads_share_a_segmenter(segmenter: Segmenter) -> None:
    wrong: list[int] = []

    def work(level: int) -> None:
        for _ in range(20):
            if not (segmenter(bgr(255, 0, level, (20 + level, 40))).labels == level // 64).all():
                wrong.append(level)

    workers = [threading.Thread(target=work, args=(level,)) for level in (0, 70, 140, 210)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_after_the_block_it_is_closed(tmp_path: Path) -> None:
    with lc_trt.load(toy_bundle(tmp_path / "toy.lct").path) as segmenter:
        segmenter(bgr(0, 0, 0))
    with pytest.raises(LcTrtError, match="closed"):
        segmenter(bgr(0, 0, 0))


def test_a_manifest_of_another_model_is_refused() -> None:
    with pytest.raises(LcTrtError, match=r"has size \(36, 60\), the model has \(40, 60\)"):
        Segmenter(open_onnx("onnxruntime", model(size=(40, 60))), toy_manifest())


def test_load_names_what_it_cannot_do(tmp_path: Path) -> None:
    path = toy_bundle(tmp_path / "toy.lct").path
    with pytest.raises(UsageError, match="device cuda:0: expected cpu"):
        lc_trt.load(path, device="cuda:0")
    with pytest.raises(LcTrtError, match="no such bundle"):
        lc_trt.load(tmp_path / "none.lct")
    other = toy_bundle(tmp_path / "other.lct", backend="elsewhere").path
    with pytest.raises(UsageError, match="unknown backend 'elsewhere'"):
        lc_trt.load(other)


def test_unknown_names_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = lc_trt.missing
