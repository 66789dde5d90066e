"""The steps of a pass: frames to the engine's size, the engine, results at the frames' sizes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from compilation import CPU_BACKENDS, lowered
from fake_engine import FakeEngine
from tiny_networks import INFO, MEAN, STD, frames, tiny_cascade
from toy_models import bgr, thirds, toy_manifest, toy_model

from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade
from lc_trt.runtime.governor.threshold_policy import FixedThresholds
from lc_trt.runtime.inference import InferenceSteps
from lc_trt.runtime.resize import Fit
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.source_frame import SourceFrame


class Recorder(FixedThresholds):
    """Fixed thresholds that keep the durations they are given."""

    def __init__(self) -> None:
        super().__init__((0.9, 0.8))
        self.passes: list[tuple[float, int]] = []

    def record(self, seconds: float, frames: int = 1) -> None:
        self.passes.append((seconds, frames))


def steps(batch: int = 1, *, overlap: bool = False, policy: Any = None) -> InferenceSteps:
    engine = open_onnx("onnxruntime", toy_model(batch=batch), threads=1)
    policy = policy or Recorder()
    manifest = toy_manifest(batch=batch)
    return InferenceSteps(engine, manifest, Fit.STRETCH, policy, None, overlap=overlap)


def test_a_pass_is_filled_up_and_gives_a_result_per_frame() -> None:
    three = steps(batch=3)
    images = [thirds((72, 120)), bgr(0, 0, 200, (20, 30))]
    prepared = three.prepare([SourceFrame(i, source=n) for n, i in enumerate(images)])
    assert prepared.images.shape == (3, *three.engine.size, 3) and prepared.sources == (0, 1)
    np.testing.assert_array_equal(prepared.images[2], prepared.images[1])
    results = three.finish(three.infer(prepared))
    assert [r.labels.shape for r in results] == [(72, 120), (20, 30)]
    assert all(r.frame is i for r, i in zip(results, images, strict=True))
    assert (results[1].labels == 3).all() and results[0].labels[40, 110] == 1
    assert results[0].rho == (0.9, 0.8)


@pytest.mark.parametrize("overlap", [True, False])
def test_the_policy_gets_the_time_that_decides_the_rate(overlap: bool) -> None:
    """That of the engine where other steps run meanwhile, or else that of all."""
    policy = Recorder()
    two = steps(batch=2, overlap=overlap, policy=policy)
    inferred = two.infer(two.prepare([SourceFrame(thirds((72, 120)))] * 2))
    assert len(policy.passes) == overlap
    results = two.finish(inferred)
    ((seconds, count),) = policy.passes
    key = "engine" if overlap else "total"
    assert count == 2 and seconds * 1e3 == pytest.approx(sum(r.timing[key] for r in results))
    assert results[0].timing["engine"] == results[1].timing["engine"]


@pytest.mark.parametrize("confidence", [float("nan"), 0.1, 1.2, -1, float("inf")])
def test_what_is_no_probability_is_an_error(confidence: float) -> None:
    engine = FakeEngine([np.full((3, 1, 2, 3), confidence, np.float32)])
    segmenter = Segmenter(engine, replace(toy_manifest(), size=engine.size))
    with pytest.raises(LcTrtError, match="not probabilities"):
        segmenter(bgr(0, 0, 0))


def test_a_score_above_its_threshold_is_no_error() -> None:
    # Such as a margin, which unlike the largest of 4 probabilities may be 0.
    engine = FakeEngine([np.full((3, 1, 2, 3), 0.1, np.float32)])
    segmenter = Segmenter(engine, replace(toy_manifest(), size=engine.size))
    assert (segmenter(bgr(0, 0, 0), 0.05).stages == 1).all()
    with pytest.raises(LcTrtError, match="not probabilities"):
        segmenter(bgr(0, 0, 0), 0.2)


def damaged(backend: str, head: int) -> Segmenter:
    """A real cascade whose logits at one stage overflow, though all its weights are numbers."""
    cascade = tiny_cascade()
    weights = [w for w in cascade.heads[head].parameters() if w.dim() == 4]
    with torch.no_grad():
        for weight in weights:
            weight[0] = 3e38
            weight[1] = -3e38
    exported = export_cascade(cascade, INFO, MEAN, STD)
    engine = open_onnx(
        backend, lowered(exported, backend, INFO.size, 1).SerializeToString(), threads=1
    )
    manifest = replace(toy_manifest(size=INFO.size), classes=INFO.classes, colours=INFO.colours)
    return Segmenter(engine, manifest)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_network_that_gives_nan_is_an_error(backend: str) -> None:
    segmenter = damaged(backend, head=2)
    with pytest.raises(LcTrtError, match="toy: the network's confidences are not"):
        segmenter(frames(1, INFO.size)[0], 1)
    with pytest.raises(LcTrtError, match="export weights without NaN"):
        list(segmenter.stream(frames(3, INFO.size), 1))
