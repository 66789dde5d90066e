"""What a result gives of one frame: pictures, parts, detections."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_models import COLOURS, SIZE, thirds, toy_manifest, toy_model

from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import PixelWork
from lc_trt.runtime.segmenter import Segmenter


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(open_onnx("onnxruntime", toy_model(), threads=1), toy_manifest())


def test_parts_that_reuse_computed_and_kept(segmenter: Segmenter) -> None:
    result = segmenter(thirds(SIZE))
    assert result.computed is None and result.reused is None
    codes = [PixelWork.LEFT, PixelWork.COMPUTED, PixelWork.COMPUTED, PixelWork.KEPT]
    reusing = replace(result, cell_work=np.array([[*codes, PixelWork.CONTEXT]], np.uint8))
    # What is computed again only for its neighbours' sake keeps its result, too.
    assert (reusing.computed, reusing.reused) == (3 / 5, 2 / 5)


def test_maps_of_a_letterboxed_frame_are_cut_out_of_the_grey(segmenter: Segmenter) -> None:
    boxed = Segmenter(segmenter.engine, segmenter.manifest, fit="letterbox")
    upright = boxed(np.full((60, 30, 3), 255, np.uint8))
    assert upright.stages is not None and upright.stages.shape == (60, 30)
    # But for cells that lie on the edge.
    assert (upright.stages[:, 10:20] == 1).all() and (upright.confidence[:, 12:18] == 1).all()
    assert upright.shares is not None and upright.shares[0] < 0.6, "the grey is computed, too"


def test_views(segmenter: Segmenter) -> None:
    frame = thirds((360, 600))
    before = frame.copy()
    result = segmenter(frame)
    shape = frame.shape
    assert result.view("mask").shape == result.view("overlay").shape == shape
    assert result.view("stages").shape == shape
    assert result.view("side-by-side").shape == (360, 1800, 3)
    assert np.array_equal(frame, before)  # drawing leaves the frame alone
    assert result.mask()[350, 10].tolist() == list(COLOURS[0][::-1])
    assert np.array_equal(result.overlay(0, legend=False), frame)
    assert np.array_equal(result.overlay(1, legend=False), result.mask())
    stages = result.stage_map(1, legend=False)
    assert stages[350, 10].tolist() == [76, 178, 46]  # BGR green: left at stage 1
    assert stages[350, 590].tolist() == [56, 40, 228]  # BGR red: all three
    side = result.side_by_side()
    assert np.array_equal(side[:, :600], frame)
    assert np.array_equal(side[:, 600:1200], result.overlay())
    assert np.array_equal(side[:, 1200:], result.stage_map())
    with pytest.raises(UsageError, match="expected overlay, mask, stages, side-by-side"):
        result.view("depth")
    with pytest.raises(UsageError, match=r"alpha 1\.5"):
        result.overlay(1.5)


def test_areas_are_parts_of_the_frame(segmenter: Segmenter) -> None:
    result = segmenter(thirds(SIZE))
    assert result.areas == pytest.approx([(result.labels == k).mean() for k in range(4)])
    assert sum(result.areas) == pytest.approx(1)


def test_detections_for_supervision(segmenter: Segmenter) -> None:
    pytest.importorskip("supervision", reason="needs supervision: pip install supervision")
    found = segmenter(thirds(SIZE)).to_supervision()
    assert found.class_id is not None and found.class_id.tolist() == [0, 1, 3]
    assert found.data["class_name"].tolist() == ["sky", "road", "tree"]
    assert found.mask is not None and found.confidence is not None
    assert (found.mask.sum(axis=0) == 1).all()  # each pixel in one class
    assert found.xyxy.tolist() == [[0, 0, 19, 35], [40, 0, 59, 35], [20, 0, 39, 35]]
    assert found.confidence[0] > 0.9 > 0.5 > found.confidence[1]


def test_without_supervision_the_command_is_named(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(LcTrtError, match="supervision is not installed: pip install supervision"):
        segmenter(thirds(SIZE)).to_supervision()


def test_a_picture_can_be_saved(segmenter: Segmenter, tmp_path: Path) -> None:
    picture = segmenter(thirds((72, 120))).overlay()
    assert cv2.imwrite(str(tmp_path / "overlay.png"), picture)
