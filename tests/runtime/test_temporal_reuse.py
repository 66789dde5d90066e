"""Temporal reuse in engines and segmenters: what is kept of a frame, and for how long."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from compilation import CPU_BACKENDS, lowered
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import INFO, frames, middle_rho, session, tiny_model
from toy_models import bgr, toy_manifest, toy_model

import lc_trt
from lc_trt.backends.load import open_onnx
from lc_trt.bundle.manifest import Manifest
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import PixelWork
from lc_trt.runtime.engines.base import Engine, State
from lc_trt.runtime.segmenter import Segmenter

SIZE = INFO.size
NEVER = 10**6
Frame = npt.NDArray[np.uint8]


@cache
def engine(backend: str, batch: int = 1, reuse: bool = True) -> Engine:
    compiled = lowered(tiny_model(), backend, SIZE, batch, reuse=reuse)
    return open_onnx(backend, compiled.SerializeToString(), threads=1)


@cache
def segmenter(backend: str, batch: int = 1, reuse: bool = True) -> Segmenter:
    rho = middle_rho(session(tiny_model()), frames(1))
    manifest = Manifest(
        backend=backend,
        backend_version="1.0",
        kind="cascade",
        name="tiny",
        model_sha256="0" * 64,
        classes=INFO.classes,
        colours=INFO.colours,
        size=SIZE,
        batch=batch,
        default_rho=rho,
        fast_rho=rho,
    )
    return Segmenter(engine(backend, batch, reuse), manifest)


def scenes(count: int = 2) -> list[Frame]:
    return list(frames(count, SIZE))


def trembling(scene: Frame, count: int, seed: int = 0) -> list[Frame]:
    """Frames of one scene with a little noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-1, 2, (count, *scene.shape))
    return list(np.clip(scene + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_still_video_is_computed_once(backend: str) -> None:
    (scene,) = scenes(1)
    plain = segmenter(backend, reuse=False)(scene)
    assert plain.computed is None and plain.reused is None and plain.cell_work is None
    with segmenter(backend).stream([scene] * 5, reuse=lc_trt.Reuse(0)) as results:
        first, *others = results
    hard = 1 - first.shares[0]
    assert 0.2 < hard < 0.8
    assert first.computed == pytest.approx(hard) and first.reused == 0
    np.testing.assert_array_equal(first.labels, plain.labels)
    for result in others:
        assert result.computed == 0 and result.reused == pytest.approx(hard)
        for name in ("labels", "cell_stages", "cell_confidence"):
            np.testing.assert_array_equal(getattr(result, name), getattr(first, name))
        assert result.shares == first.shares


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_where_everything_has_moved_all_is_as_without(backend: str) -> None:
    shown = scenes(4)
    reuse = lc_trt.Reuse(0)
    for frame in shown:
        plain = segmenter(backend, reuse=False)(frame)
        result = segmenter(backend)(frame, reuse=reuse)
        assert result.reused == 0 and result.computed == pytest.approx(1 - plain.shares[0])
        np.testing.assert_array_equal(result.cell_stages, plain.cell_stages)
        np.testing.assert_allclose(result.cell_confidence, plain.cell_confidence, atol=1e-5)
        assert (result.labels == plain.labels).mean() > 0.999


@settings(max_examples=10)
@given(every=st.integers(1, 6), batch=st.integers(1, 2))
def test_everything_is_computed_every_n_frames(every: int, batch: int) -> None:
    (scene,) = scenes(1)
    reuse = lc_trt.Reuse(every=every)
    shown = 12
    results = segmenter("onnxruntime", batch).batch([scene] * shown, reuse=reuse)
    for number, result in enumerate(results):
        # A pass is for all of its frames, and counts all of them.
        since = number - number % batch
        passes = -(-every // batch) * batch
        assert (result.reused == 0) == (since % passes == 0), number


def test_a_scene_cut_resets_what_was_kept() -> None:
    one, other = scenes()
    reuse = lc_trt.Reuse(0.05, every=NEVER)
    seg = segmenter("onnxruntime")
    work = [seg(frame, reuse=reuse).cell_work for frame in (one, one, other, one)]
    assert PixelWork.KEPT in work[1] and PixelWork.COMPUTED not in work[1]
    # Back in the first scene nothing of it is left, although nothing in it has moved.
    for cut in work[2:]:
        assert (
            set(np.unique(cut)) <= {PixelWork.LEFT, PixelWork.COMPUTED}
            and PixelWork.COMPUTED in cut
        )


def test_without_a_cut_the_pixels_decide() -> None:
    one, other = scenes()
    patched = one.copy()
    patched[:16, :16] = other[:16, :16]
    seen = {}
    for cut in (0.0, 1.0):
        reuse = lc_trt.Reuse(0.5, every=NEVER, cut=cut)
        seen[cut] = [segmenter("onnxruntime")(f, reuse=reuse) for f in (one, patched)][1]
    assert seen[0.0].reused == 0
    assert seen[1.0].reused > 0 and 0 < seen[1.0].computed < seen[0.0].computed


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_sources_in_a_batch_know_nothing_of_each_other(backend: str) -> None:
    one, other = scenes()
    videos = [trembling(one, 5), [other, *trembling(one, 4, seed=1)]]
    expected = []
    for video in videos:
        reuse = lc_trt.Reuse(0.5, every=3)
        expected.append([segmenter(backend)(frame, reuse=reuse) for frame in video])
    turns = [number for _ in range(5) for number in (0, 1)]
    mixed = [
        lc_trt.SourceFrame(videos[number][i // 2], source=number) for i, number in enumerate(turns)
    ]
    reuse = lc_trt.Reuse(0.5, every=3)
    with segmenter(backend, 2).stream(mixed, reuse=reuse) as results:
        found = list(results)
    kept = [[result.reused > 0 for result in found[number::2]] for number in (0, 1)]
    assert kept == [[False, True, True, False, True], [False, False, True, False, True]]
    for i, result in enumerate(found):
        alone = expected[turns[i]][i // 2]
        np.testing.assert_array_equal(result.cell_work, alone.cell_work)
        np.testing.assert_array_equal(result.cell_stages, alone.cell_stages)
        assert (result.labels == alone.labels).mean() > 0.999


def test_a_source_that_ends_leaves_the_other_its_state() -> None:
    one, other = scenes()
    shown = [lc_trt.SourceFrame({"a": one, "b": other}[name], source=name) for name in "ababbbb"]
    with segmenter("onnxruntime", 2).stream(shown, reuse=lc_trt.Reuse()) as results:
        reused = [result.reused for result in results]
    assert reused[:2] == [0, 0] and min(reused[2:]) > 0


def test_a_state_is_not_changed_by_the_pass_that_reads_it() -> None:
    one, other = scenes()
    used = engine("openvino")
    rho, limits = np.ones(2, np.float32), np.array([0.1, 1], np.float32)
    _, state = used.run_reusing(one[None], rho, used.no_state(), limits)
    arrays = (state.features, state.probabilities, state.stages)
    copies = [array.copy() for array in arrays]
    assert copies[2].min() == 3 and copies[0].any()
    used.run_reusing(other[None], rho, state, limits)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("batch", [1, 2])
def test_an_engine_with_reuse_runs_without_it_as_any_other(backend: str, batch: int) -> None:
    images = frames(batch, SIZE)
    rho = np.array(segmenter(backend).manifest.default_rho, np.float32)
    for _ in range(2):
        expected = engine(backend, batch, reuse=False).run(images, rho)
        found = engine(backend, batch).run(images, rho)
        assert found.work is None
        np.testing.assert_array_equal(found.stages, expected.stages)
        assert (found.labels == expected.labels).mean() > 0.999
    with pytest.raises(ValueError, match="a cascade needs it"):
        engine(backend, batch).run(images)


def test_thresholds_may_change_from_frame_to_frame() -> None:
    (scene,) = scenes(1)
    seg, reuse = segmenter("onnxruntime"), lc_trt.Reuse(0, every=NEVER, cut=1)
    rho = seg.manifest.default_rho
    assert rho is not None
    second = seg(scene, (rho[0], 0), reuse=reuse)
    assert set(np.unique(second.cell_stages)) == {1, 2}
    # What left at stage 2 and would now go on is computed again, what would leave is not.
    third = seg(scene, rho, reuse=reuse)
    plain = segmenter("onnxruntime", reuse=False)(scene, rho)
    np.testing.assert_array_equal(third.cell_stages, plain.cell_stages)
    assert PixelWork.KEPT in third.cell_work or PixelWork.CONTEXT in third.cell_work
    assert PixelWork.COMPUTED in third.cell_work
    # A result of stage 3 stays where stage 2's would do.
    again = seg(scene, (rho[0], 0), reuse=reuse)
    assert again.computed == 0
    np.testing.assert_array_equal(again.cell_stages, third.cell_stages)


def test_reset_and_another_engine_start_anew() -> None:
    (scene,) = scenes(1)
    reuse = lc_trt.Reuse()
    seg, other = segmenter("onnxruntime"), segmenter("openvino")
    assert [seg(scene, reuse=reuse).reused == 0 for _ in range(2)] == [True, False]
    reuse.reset()
    assert seg(scene, reuse=reuse).reused == 0
    assert other(scene, reuse=reuse).reused == 0


STATES = State(
    *(np.zeros((1, 1, 1, 1), np.float32) for _ in range(2)), np.zeros((1, 1, 1), np.uint8)
)


class Owner:
    """Stands for an engine, of which only the identity counts."""


def numbered(*values: int) -> State:
    """States told apart by their features; all at stage 3."""
    features = np.array(values, np.float32).reshape(-1, 1, 1, 1)
    return State(features, features, np.full((len(values), 1, 1), 3, np.uint8))


def test_states_are_kept_per_source_without_an_engine() -> None:
    reuse, engine = lc_trt.Reuse(0.1, every=3, cut=0.25), Owner()
    np.testing.assert_array_equal(reuse.limits, np.array([0.1, 0.25], np.float32))
    assert reuse.load(engine, "aa", STATES).stages.tolist() == [[[0]], [[0]]]
    # Two frames of one source in a pass: the last one's state stays. Images beyond are fill.
    reuse.store(engine, "aab", numbered(1, 2, 3, 4))
    assert reuse.load(engine, "aba", STATES).features.ravel().tolist() == [2, 0, 2]
    reuse.store(engine, "ab", numbered(5, 6))
    # After three frames of a nothing of its state is used; of b there was one.
    past = reuse.load(engine, "ab", STATES)
    assert past.features.ravel().tolist() == [5, 6] and past.stages.ravel().tolist() == [0, 3]


def test_a_reset_during_a_pass_drops_its_state() -> None:
    reuse, engine = lc_trt.Reuse(), Owner()
    reuse.load(engine, "a", STATES)
    reuse.reset()
    reuse.store(engine, "a", numbered(1))
    assert reuse.load(engine, "a", STATES).stages.tolist() == [[[0]]]
    other = Owner()
    reuse.load(other, "a", STATES)
    reuse.store(engine, "a", numbered(1))  # of an engine that is no longer used
    assert reuse.load(other, "a", STATES).stages.tolist() == [[[0]]]


def test_8_bits_reuse_as_well() -> None:
    folded = prepare(tiny_model(), SIZE, 1)
    ranges = dict.fromkeys(make_plan(folded).tensors, (0.0, 6.0))
    compiled = lowered(tiny_model(), "onnxruntime", SIZE, 1, Quantization(ranges), reuse=True)
    assert any(node.op_type == "QuantizeLinear" for node in compiled.graph.node)
    used = open_onnx("onnxruntime", compiled.SerializeToString(), threads=1)
    image, rho = frames(1, SIZE), np.ones(2, np.float32)
    limits = np.array([0, 1], np.float32)
    first, state = used.run_reusing(image, rho, used.no_state(), limits)
    second, _ = used.run_reusing(image, rho, state, limits)
    assert (first.work == PixelWork.COMPUTED).all() and (second.work == PixelWork.KEPT).all()
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"tolerance": -0.1}, "tolerance -0.1: expected 0 or more"),
        ({"tolerance": float("nan")}, "tolerance nan"),
        ({"every": 0}, "every 0: expected at least 1"),
        ({"cut": 1.5}, "cut 1.5: expected 0 to 1"),
        ({"cut": float("nan")}, "cut nan"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, float], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        lc_trt.Reuse(**arguments)  # type: ignore[arg-type]


def test_a_bundle_without_it_is_refused() -> None:
    for kind, text in (("cascade", "lc-trt build MODEL.onnx --reuse"), ("dense", "dense network")):
        made = open_onnx("onnxruntime", toy_model(kind), threads=1)
        seg = Segmenter(made, replace(toy_manifest(kind), backend="onnxruntime"))
        with pytest.raises(UsageError, match=text):
            seg.stream([bgr(1, 2, 3)], reuse=lc_trt.Reuse())
        with pytest.raises(UsageError, match=text):
            seg(bgr(1, 2, 3), reuse=lc_trt.Reuse())
        with pytest.raises(LcTrtError, match="know no temporal reuse"):
            Engine.run_reusing(
                made, bgr(1, 2, 3)[None], np.ones(2), State(*[np.ones(1)] * 3), np.ones(2)
            )
