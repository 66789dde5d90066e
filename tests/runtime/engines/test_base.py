"""What all engines check, on one that computes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine, random_levels

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import LIMITS, PAST, PRESENT, WORK
from lc_trt.runtime.engines.base import HostEngine, State, unreadable

INPUTS = {"image": [2, 16, 24, 3], "rho": [2]}
OUTPUTS = {"labels", "stages", "confidence"}
STATE = ([2, 5, 2, 3], [2, 4, 2, 3], [2, 2, 3])
IMAGE, RHO = np.zeros((1, 16, 24, 3), np.uint8), np.array([0.5, 0.5], np.float32)


class Recorder(HostEngine):
    """Keeps the last feed, and answers with fields of the state plus one."""

    backend = "recorder"

    def _infer(self, feed: dict[str, Any]) -> dict[str, Any]:
        self.feed = feed
        cells = np.zeros((2, 2, 3), np.uint8)
        answer = {"labels": cells, "stages": cells, "confidence": cells, WORK: cells}
        answer.update({new: feed[old] + 1 for old, new in zip(PAST, PRESENT, strict=True)})
        return answer

    def _release(self) -> None:
        pass


def reusing() -> Recorder:
    past = dict(zip(PAST, STATE, strict=True))
    return Recorder("m", {**INPUTS, **past, LIMITS: [2]}, {*OUTPUTS, *PRESENT, WORK})


def test_the_kind_is_that_of_the_outputs() -> None:
    cascade, dense = FakeEngine(random_levels(1)), FakeEngine(None)
    assert (cascade.kind, cascade.size, cascade.batch) == ("cascade", (16, 24), 1)
    assert (dense.kind, dense.state, reusing().state) == (
        "dense", None, tuple(map(tuple, STATE))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "outputs", "missing"),
    [
        ({"rho": [2]}, OUTPUTS, "image"),
        (INPUTS, OUTPUTS - {"labels"}, "labels"),
        (INPUTS, OUTPUTS - {"confidence"}, "confidence"),
        (INPUTS, OUTPUTS - {"stages"}, "stages"),
        ({"image": INPUTS["image"]}, OUTPUTS, "rho"),
    ],
)
def test_another_network_is_named_with_what_it_lacks(
    inputs: dict[str, list[int]], outputs: set[str], missing: str
) -> None:
    with pytest.raises(LcTrtError, match=f"m.onnx: has no '{missing}', so it is no compiled"):
        Recorder("m.onnx", inputs, outputs)


@pytest.mark.parametrize("shape", [["n", 16, 24, 3], [1, 16, 24, 1], [16, 24, 3], [1, 3, 16, None]])
def test_an_image_without_a_fixed_shape_is_refused(shape: list[Any]) -> None:
    with pytest.raises(LcTrtError, match=r"m: image is \[.*expected fixed \[N, H, W, 3\]"):
        Recorder("m", {**INPUTS, "image": shape}, OUTPUTS)


def test_arrays_of_another_shape_or_type_are_refused() -> None:
    cascade, dense = FakeEngine(random_levels(1)), FakeEngine(None)
    for image in (IMAGE[:, :8], IMAGE[0], IMAGE.astype(np.float32)):
        with pytest.raises(ValueError, match=r"expected uint8 \(1, 16, 24, 3\)"):
            cascade.run(image, RHO)
    for rho in (RHO[:1], RHO.astype(np.float64)):
        with pytest.raises(ValueError, match=r"expected float32 \(2,\)"):
            cascade.run(IMAGE, rho)
    with pytest.raises(ValueError, match="a cascade needs it"):
        cascade.run(IMAGE)
    with pytest.raises(ValueError, match="a dense network takes none"):
        dense.run(IMAGE, RHO)
    assert cascade.passes == dense.passes == []


def test_a_view_is_made_contiguous() -> None:
    engine = Recorder("m", INPUTS, OUTPUTS | {WORK})
    wide = np.arange(2 * 16 * 48 * 3).astype(np.uint8).reshape(2, 16, 48, 3)
    with pytest.raises(KeyError):  # it has no state to answer with
        engine.run(wide[:, :, ::2], RHO)
    assert engine.feed["image"].flags.c_contiguous
    np.testing.assert_array_equal(engine.feed["image"], wide[:, :, ::2])


def test_without_reuse_every_frame_is_the_first() -> None:
    engine, images = reusing(), np.zeros((2, 16, 24, 3), np.uint8)
    out = engine.run(images, RHO)
    assert out.work is None
    assert not any(engine.feed[name].any() for name in (*PAST, LIMITS))
    with pytest.raises(ValueError, match="a cascade needs it"):
        engine.run(images)


def test_a_state_goes_in_and_comes_out() -> None:
    engine = reusing()
    past = State.join([engine.no_state()] * 2)
    limits = np.array([0.1, 0.2], np.float32)
    out, present = engine.run_reusing(np.zeros((2, 16, 24, 3), np.uint8), RHO, past, limits)
    assert out.work is not None and engine.feed[LIMITS] is limits
    assert (present.features == 1).all() and (present.stages == 1).all()
    assert (past.features == 0).all()


def test_states_of_frames_are_joined_and_taken_apart() -> None:
    rng = np.random.default_rng(0)
    states = [
        State(*(rng.random((1, *shape[1:])).astype(np.float32) for shape in STATE[:2]), stages)
        for stages in rng.integers(1, 4, (3, 1, 2, 3)).astype(np.uint8)
    ]
    joined = State.join(states)
    for number, state in enumerate(states):
        for field in ("features", "probabilities", "stages"):
            one = getattr(joined.of(number), field)
            np.testing.assert_array_equal(one, getattr(state, field))
    assert State.join(states[:1]) is states[0]
    forgotten = joined.forgotten()
    assert not forgotten.stages.any() and joined.stages.all()
    assert forgotten.features is joined.features


def test_the_reason_of_a_backend_is_its_last_line() -> None:
    error = unreadable(b"", "onnxruntime", RuntimeError("at a.cpp:3\n\n  no such operator \n"))
    assert str(error) == (
        "model: onnxruntime cannot read it (no such operator); build it for that backend: "
        "lc-trt build MODEL.onnx --backend onnxruntime"
    )
    assert "(KeyError)" in str(unreadable(b"", "x", KeyError()))
