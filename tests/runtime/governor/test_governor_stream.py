"""A governed segmenter: what a governor is told, and what it then decides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fake_engine import FakeEngine, numbered_frames
from fake_plant import FAST, TOP, tuned
from toy_models import bgr, toy_manifest, toy_model

from lc_trt.backends.load import open_onnx
from lc_trt.bundle.manifest import Manifest
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.segmenter import Segmenter

SHAPE = (16, 24)
PASS, SLOW = 0.002, 0.03  # seconds


class Sleeper(FakeEngine):
    """A cascade whose passes take a while; all pixels leave at stage 1."""

    def __init__(self, batch: int = 1) -> None:
        shape = (batch, *SHAPE)
        super().__init__([np.ones((3, batch, 2, 3), np.float32)] * 256, shape=shape)

    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        time.sleep(PASS)
        return super()._infer(feed)


class Told(Governor):
    """Remembers what it was told, and at which thresholds."""

    def __init__(self, governor: Governor) -> None:
        super().__init__(governor.curve, governor.fps)
        self.passes: list[tuple[float, int]] = []
        self.used: list[tuple[float, float]] = []

    def record(self, seconds: float, frames: int = 1) -> None:
        self.passes.append((seconds, frames))
        self.used.append(self.rho)
        super().record(seconds, frames)


def segmenter(batch: int = 1) -> Segmenter:
    manifest = Manifest(
        "fake", "1", "cascade", "fake", "", ("a", "b"), ((0, 0, 0),) * 2, SHAPE, batch,
        default_rho=TOP, fast_rho=FAST,
    )  # fmt: skip
    return Segmenter(Sleeper(batch), manifest, front=tuned())


def frames(count: int, pause: float = 0) -> Iterator[npt.NDArray[np.uint8]]:
    for frame in numbered_frames(count, SHAPE):
        time.sleep(pause)
        yield frame


@pytest.mark.parametrize("batch", [1, 4])
def test_a_stream_tells_what_its_passes_took(batch: int) -> None:
    one = segmenter(batch)
    governor = Told(one.govern(100))
    with one.stream(frames(8), governor) as results:
        found = list(results)
    assert [count for _, count in governor.passes] == [batch] * (8 // batch)
    for k, (seconds, count) in enumerate(governor.passes):
        group = found[k * batch : (k + 1) * batch]
        assert seconds == pytest.approx(sum(r.timing["engine"] for r in group) / 1e3)
        assert {r.rho for r in group} == {governor.used[k]} and count == len(group)
    # The engine got these very thresholds.
    assert isinstance(one.engine, Sleeper)
    assert [rho for _, rho in one.engine.passes] == [
        tuple(np.array(rho, np.float32).tolist()) for rho in governor.used
    ]


def test_a_source_that_idles_and_a_slow_consumer_are_no_load() -> None:
    """A camera, a decoder or a window that takes its time is no reason to lose quality."""
    one = segmenter()
    governor = Told(one.govern(50))
    with one.stream(frames(6, SLOW), governor) as results:
        for _ in results:
            time.sleep(SLOW)
    told = sorted(seconds for seconds, _ in governor.passes)
    assert PASS <= told[len(told) // 2] < SLOW
    assert governor.level > 0


def test_without_overlap_all_of_a_call_counts() -> None:
    one = segmenter()
    governor = Told(one.govern(100))
    with one.stream(frames(3), governor, in_flight=1) as results:
        found = list(results)
    found.append(one(next(frames(1)), governor))
    assert [s for s, _ in governor.passes] == pytest.approx(
        [result.timing["total"] / 1e3 for result in found]
    )


def test_a_batch_is_told_group_by_group() -> None:
    one = segmenter(4)
    governor = Told(one.govern(100))
    assert len(one.batch(frames(6), governor)) == 6
    assert [count for _, count in governor.passes] == [4, 2]


def test_thresholds_move_from_pass_to_pass() -> None:
    one = segmenter()
    governor = one.govern(20)  # the passes are far quicker than the front says
    first = governor.rho
    with one.stream(frames(40), governor) as results:
        used = [result.rho for result in results]
    assert used[0] == first < used[-1] == TOP
    assert all(
        low <= value <= high
        for rho in used
        if rho is not None
        for low, value, high in zip(FAST, rho, TOP, strict=True)
    )


def test_the_quality_bound() -> None:
    one = segmenter()
    assert one.govern(25).curve.rho(1) == TOP
    assert all(a <= b for a, b in zip(one.govern(25, 0.9).curve.rho(1), (0.9, 0.9), strict=True))
    with pytest.raises(UsageError, match="no operating points between"):
        one.govern(25, "fast")
    with pytest.raises(UsageError, match="expected one or two numbers"):
        one.govern(25, 1.5)


def test_what_cannot_be_governed() -> None:
    def toy(kind: str) -> Segmenter:
        return Segmenter(open_onnx("onnxruntime", toy_model(kind)), toy_manifest(kind))

    with pytest.raises(LcTrtError, match=r"lc-trt tune MODEL\.lct --images DIR"):
        toy("cascade").govern(25)
    with pytest.raises(UsageError, match="dense"):
        toy("dense").govern(25)
    assert toy("cascade")(bgr(255, 0, 0)).rho == (0.9, 0.8)  # and without one nothing has changed
