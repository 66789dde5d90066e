"""Accuracy of a segmenter with known answers."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from toy_models import COLOURS

from lc_trt.bundle.thresholds import Rho
from lc_trt.data.datasets import Sample
from lc_trt.evaluation.evaluate import evaluate
from lc_trt.runtime.result import Result

CLASSES = ("sky", "road", "car")


class Answers:
    """Labels each pixel with its blue value."""

    def __init__(self) -> None:
        self.rhos: list[Rho | None] = []

    def __call__(self, frame: np.ndarray, rho: Rho | None = None) -> Result:
        self.rhos.append(rho)
        share = float(frame[0, 0, 1]) / 255
        height, width = frame.shape[:2]
        return Result(
            labels=np.ascontiguousarray(frame[..., 0]),
            shares=(share, 1 - share, 0.0),
            rho=None,
            timing={},
            classes=CLASSES,
            colours=COLOURS[:3],
            frame=frame,
            engine_size=(height, width),
            cell_stages=np.full((1, 1), 1 if share > 0.5 else 2, np.uint8),
            cell_confidence=np.zeros((1, 1), np.float32),
        )


def sample(answer: list[list[int]], truth: list[list[int]], share: int = 0) -> Sample:
    blue = np.array(answer, np.uint8)
    image = cv2.merge([blue, np.full_like(blue, share), np.zeros_like(blue)])
    return Sample("a", np.asarray(image, np.uint8), np.array(truth, np.uint8))


def test_pixels_of_all_images_are_counted_together() -> None:
    answers = Answers()
    evaluation = evaluate(
        answers,
        [
            sample([[0, 0, 1]], [[0, 1, 1]], share=255),
            sample([[1, 1], [0, 0]], [[1, 255], [255, 1]], share=0),
        ],
        CLASSES,
        rho=0.7,
    )
    # sky: 1 right of 1 true and 3 said; road: 2 right of 4 true and 2 said; car never occurs.
    assert evaluation.iou[:2] == pytest.approx((1 / 3, 2 / 4))
    assert math.isnan(evaluation.iou[2])
    assert evaluation.miou == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert evaluation.pixel_accuracy == pytest.approx(3 / 5)
    assert evaluation.shares == pytest.approx((0.5, 0.5, 0))
    assert (evaluation.images, answers.rhos) == (2, [0.7, 0.7])
    # All of the first image left at stage 1, all of the second at stage 2.
    assert evaluation.stages is not None
    assert evaluation.stages.by_class == (
        (1, 0, 0),
        (pytest.approx(0.5), pytest.approx(0.5), 0),
        None,
    )
    assert evaluation.stages.near_boundary == (1, 0, None)


def test_time_is_the_median_of_the_calls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0, 0.010, 5, 5.002, 9, 9.003])
    samples = [sample([[0]], [[0]])] * 3
    monkeypatch.setattr("lc_trt.utils.timing.clock", lambda: next(ticks))
    evaluation = evaluate(Answers(), samples, CLASSES)
    assert evaluation.ms_per_image == pytest.approx(3)


def test_json_has_null_for_a_class_that_never_occurs() -> None:
    evaluation = evaluate(Answers(), [sample([[0]], [[0]])], CLASSES)
    data = json.loads(json.dumps(evaluation.as_dict()))
    assert data["iou"] == {"sky": 1, "road": None, "car": None}
    assert data["left_by_class"] == {"sky": [0, 1, 0], "road": None, "car": None}
    assert data["near_boundary"] == [None, 0, None]
