"""The bench on a real cascade: rows, operating points, ceilings, target, notes."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from compilation import CPU_BACKENDS
from fake_backends import WrappedBackend
from recording_monitor import RecordingMonitor
from tiny_networks import frames

from lc_trt.backends.load import open_bundle
from lc_trt.backends.registry import registered
from lc_trt.bench.operating_points import ALL_EXIT
from lc_trt.bench.options import Options
from lc_trt.bench.report import Report
from lc_trt.bench.suite import run_bench
from lc_trt.bundle.bundle import SOURCE, Bundle, write_bundle
from lc_trt.bundle.exit_bound import CONFORMAL, LABELS_CHANGED, ExitBound
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.data.metrics import stage_shares
from lc_trt.data.published import LC, LC_FAST
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.cost import stage_macs
from lc_trt.model import presets
from lc_trt.model.cascade import Dense
from lc_trt.model.layers import Chain, Conv, MaxPool
from lc_trt.runtime.engines.base import Engine

QUICK = Options(rounds=4, warmup=1, threads=1, target_fps=1e-3, size=(48, 80))
PIXELS = 6 * 10


@pytest.fixture(scope="module", autouse=True)
def calm() -> Iterator[None]:
    """A machine without other load."""
    patch = pytest.MonkeyPatch()
    patch.setattr("lc_trt.utils.environment.busy", lambda: 0.0)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def report(untrained: Bundle) -> Report:
    """The bench of the untrained cascade."""
    return run_bench(untrained.path, replace(QUICK, soak=6), command="lc-trt bench tiny.lct")


def test_rows_of_a_cascade(report: Report) -> None:
    assert [row.name for row in report.rows] == ["dense", "LC", "LC fast"]
    assert {row.backend for row in report.rows} == {"openvino"}
    dense, lc, fast = report.rows
    assert dense.speedup == 1
    assert (dense.stage_ms, dense.shares, dense.ceiling) == (None, None, None)
    assert (lc.published_fps, fast.published_fps) == (14.7, 23.6)
    assert report.reference is dense
    for row in report.rows:
        assert row.fps == pytest.approx(1e3 / row.latency_ms["p50"])
        assert row.latency_ms["p50"] <= row.latency_ms["p95"] <= row.latency_ms["p99"]
    for row in (lc, fast):
        assert row.stage_ms is not None
        assert sum(row.stage_ms) == pytest.approx(row.latency_ms["p50"])


def test_untrained_weights_run_at_the_published_shares(report: Report) -> None:
    _, lc, fast = report.rows
    # Each frame's share is rounded to whole pixels.
    assert lc.shares == pytest.approx(LC.shares, abs=1.5 / PIXELS)
    assert fast.shares == pytest.approx(LC_FAST.shares, abs=1.5 / PIXELS)


def test_the_ceiling_is_the_work_at_the_measured_shares(report: Report, untrained: Bundle) -> None:
    macs = stage_macs(load_onnx(untrained.file(SOURCE)), (48, 80))
    dense = macs.stage1 + macs.stage2 + macs.stage3 + macs.head3
    for row in report.rows[1:]:
        assert row.shares is not None
        one, _, three = row.shares
        work = (
            macs.stage1 + macs.head1
            + (1 - one) * (macs.stage2 + macs.head2)
            + three * (macs.stage3 + macs.head3)
        )  # fmt: skip
        assert row.ceiling == pytest.approx(dense / work)
    assert report.rows[2].ceiling > report.rows[1].ceiling  # type: ignore[operator]


def test_the_json_has_the_documented_keys(report: Report) -> None:
    body = json.loads(json.dumps(report.as_dict()))
    assert set(body) >= {
        "rows", "target", "environment", "size", "batch", "rounds", "command", "memory", "race",
    }  # fmt: skip
    assert [set(row) for row in body["rows"]] == [
        {
            "name", "backend", "precision", "fps", "latency_ms", "stage_ms", "shares", "speedup",
            "ceiling", "published_fps",
        }
    ] * 3  # fmt: skip
    assert set(body["rows"][0]["latency_ms"]) == {"p50", "p95", "p99"}
    assert set(body["target"]) >= {"fps", "required", "met"}
    assert set(body["memory"]) >= {"frames", "start_mb", "end_mb", "growth_mb"}
    assert set(body["environment"]) >= {"cpu", "cores", "threads", "python", "versions", "os"}
    assert (body["size"], body["batch"], body["rounds"]) == ([48, 80], 1, 4)
    assert body["memory"]["frames"] == 6 and body["race"] is None


def test_the_json_contains_neither_host_name_nor_folders(report: Report) -> None:
    strings: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, str):
            strings.append(value)

    walk(report.as_dict())
    assert len(strings) > 10
    assert platform.node() not in strings
    assert not [text for text in strings if re.search(r"(^|\s)(/|[A-Z]:\\)", text)]


class RhoRecorder(WrappedBackend):
    """OpenVINO, recording the thresholds of each pass of a cascade."""

    def __init__(self) -> None:
        super().__init__("openvino")
        self.rhos: set[tuple[float, ...]] = set()

    def _open(self, *arguments: Any) -> Engine:
        engine = super()._open(*arguments)
        run = engine.run

        def record(images: Any, rho: Any = None, *more: Any) -> Any:
            if rho is not None:
                self.rhos.add(tuple(rho.tolist()))
            return run(images, rho, *more)

        engine.run = record  # type: ignore[method-assign]
        return engine


def test_trained_weights_run_at_their_own_thresholds(trained: Bundle) -> None:
    backend, manifest = RhoRecorder(), trained.manifest
    with registered(backend):
        report = run_bench(trained.path, QUICK)
    assert manifest.default_rho is not None and manifest.fast_rho is not None
    # Complete passes, those without stage 3, and those with stage 1 alone.
    points = {manifest.default_rho, manifest.fast_rho}
    points |= {(first, ALL_EXIT) for first, _ in points} | {(ALL_EXIT, ALL_EXIT)}
    assert backend.rhos == {tuple(np.float32(rho).tolist()) for rho in points}
    assert report.rows[1].shares != pytest.approx(LC.shares, abs=1.5 / PIXELS)


def test_the_images_of_the_warm_up_are_not_measured(trained: Bundle, tmp_path: Path) -> None:
    images = frames(3, (48, 80), seed=3)
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    report = run_bench(trained.path, replace(QUICK, rounds=2, warmup=1, images=tmp_path))
    engine = open_bundle(trained, threads=1)
    rho = np.array(trained.manifest.default_rho, np.float32)
    each = [stage_shares(engine.run(image[None], rho).stages) for image in images]
    assert report.rows[1].shares == pytest.approx(np.mean(each[1:], axis=0), abs=1e-6)
    assert each[0] != pytest.approx(each[2], abs=1e-3), "the images can be told apart"


def test_requested_shares_replace_the_thresholds_of_their_row(trained: Bundle) -> None:
    shares = (0.4, 0.4, 0.2)
    report = run_bench(trained.path, replace(QUICK, shares={"LC fast": shares}))
    own = run_bench(trained.path, QUICK)
    assert report.rows[2].shares == pytest.approx(shares, abs=1.5 / PIXELS)
    assert report.rows[1].shares == pytest.approx(own.rows[1].shares)


def test_a_bound_applies_at_the_thresholds_and_the_size_that_it_was_tuned_for(
    trained: Bundle, tmp_path: Path
) -> None:
    bound = ExitBound(
        LABELS_CHANGED, 0.01, CONFORMAL, None, trained.manifest.default_rho, 0.004, 480, 20, 0,
        "photos", "c" * 64,
    )  # fmt: skip
    files = {name: trained.path / name for name in trained.manifest.files}
    path = tmp_path / "bounded.lct"
    write_bundle(path, replace(trained.manifest, bound=bound), files)
    quick = replace(QUICK, rounds=1, warmup=0)
    for options, applies in (
        (quick, True),
        (replace(quick, shares={"LC": (0.5, 0.25, 0.25)}), False),
        (replace(quick, size=(32, 64)), False),
    ):
        report = run_bench(path, options)
        assert report.bound == bound and report.bound_applies == applies


def test_another_size_and_batch_are_compiled_in_memory(untrained: Bundle) -> None:
    before = sorted(p.name for p in untrained.path.iterdir())
    report = run_bench(untrained.path, replace(QUICK, size=(32, 64), batch=2))
    assert (report.size, report.batch) == ((32, 64), 2)
    for row in report.rows:
        assert row.fps == pytest.approx(2e3 / row.latency_ms["p50"])
    assert report.rows[2].shares == pytest.approx(LC_FAST.shares, abs=1.5 / 64)
    assert sorted(p.name for p in untrained.path.iterdir()) == before


def test_the_fastest_of_all_runners_is_the_reference(untrained: Bundle) -> None:
    # An odd number: the median ratio of two lanes is then the reciprocal of the other way round.
    report = run_bench(untrained.path, replace(QUICK, all_runners=True, rounds=3))
    dense = report.rows[: len(CPU_BACKENDS)]
    assert [(r.name, r.backend) for r in dense] == [(f"dense ({b})", b) for b in CPU_BACKENDS]
    assert report.reference in dense and report.reference.speedup == 1
    assert max(row.speedup for row in dense) == 1
    assert [row.name for row in report.rows[-2:]] == ["LC", "LC fast"]


def test_baselines_come_first_and_are_no_reference(
    untrained: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(classes: int) -> Dense:
        trunk = Chain([Conv(3, 8, 3, stride=2), MaxPool(stride=2), MaxPool(stride=2)])
        return Dense([trunk], Chain([Conv(8, classes, norm=False, relu=False)]), classes)

    for name in ("vgg16", "resnet101"):
        baseline = replace(presets.BASELINES[name], build=small)
        monkeypatch.setitem(presets.BASELINES, name, baseline)
    report = run_bench(untrained.path, replace(QUICK, baselines=True))
    assert [row.name for row in report.rows] == ["VGG16", "ResNet-101", "dense", "LC", "LC fast"]
    assert [row.published_fps for row in report.rows[:2]] == [5.7, 7.1]
    assert report.reference.name == "dense"


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_peers")
def test_peers_are_raced_with_the_cascade(trained: Bundle, tmp_path: Path) -> None:
    report = run_bench(trained.path, replace(QUICK, peers=True, rounds=3, accuracy=tmp_path))
    names = ["PIDNet-S", "DDRNet-23-slim", "dense", "LC", "LC fast"]
    assert [row.name for row in report.rows] == names
    assert report.race is not None
    assert [entry.name for entry in report.race.entries] == names
    for entry, row in zip(report.race.entries, report.rows, strict=True):
        assert entry.fps == row.fps and entry.measured is None
        assert entry.over["PIDNet-S"] > 0
    assert report.race.entries[0].over["PIDNet-S"] == 1
    assert [e["name"] for e in report.as_dict()["race"]] == names


def test_wrong_results_are_reported_before_anything_is_compiled(
    trained: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lc_trt.bench.networks.check_runs", lambda *_: pytest.fail("compiles"))
    with pytest.raises(UsageError, match="--accuracy"):
        run_bench(trained.path, replace(QUICK, peers=True, accuracy=tmp_path / "none"))


def test_a_dense_bundle_is_its_own_row(dense: Bundle) -> None:
    report = run_bench(dense.path, replace(QUICK, target_fps=None, soak=2))
    assert [row.name for row in report.rows] == ["dense"]
    assert report.target is None
    assert report.memory is not None
    required = run_bench(dense.path, replace(QUICK, target_fps=1e9))
    assert required.target is not None
    assert (required.target.row, required.target.met) == ("dense", False)


def test_a_dense_bundle_has_no_shares(dense: Bundle) -> None:
    with pytest.raises(UsageError, match="is a dense network, which has no stages; leave it out"):
        run_bench(dense.path, replace(QUICK, shares={"LC": LC.shares}))


def test_the_target_is_the_published_fast_mode_by_default(untrained: Bundle) -> None:
    report = run_bench(untrained.path, replace(QUICK, target_fps=None, rounds=2))
    assert report.target is not None
    assert (report.target.row, report.target.required) == ("LC fast", 23.6)
    assert report.target.fps == report.rows[-1].fps


def test_a_busy_machine_is_noted(untrained: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "other processes" not in " ".join(
        run_bench(untrained.path, replace(QUICK, rounds=1)).notes
    )
    monkeypatch.setattr("lc_trt.utils.environment.busy", lambda: 0.5)
    notes = run_bench(untrained.path, replace(QUICK, rounds=1)).notes
    assert notes[-1].startswith("other processes used 50% of the CPU")


def test_progress_ends_at_its_totals(untrained: Bundle) -> None:
    monitor = RecordingMonitor()
    run_bench(untrained.path, replace(QUICK, soak=3), monitor=monitor)
    assert list(monitor.phases) == [
        "compiling", "finding thresholds", "measuring", "watching memory",
    ]  # fmt: skip
    assert all(done == total for total, done in monitor.phases.values())


def test_engines_are_closed(untrained: Bundle) -> None:
    backend = WrappedBackend("openvino")
    with registered(backend):
        run_bench(untrained.path, replace(QUICK, rounds=1))
    assert len(backend.opened) == 2
    for engine in backend.opened:
        with pytest.raises(LcTrtError, match="closed"):
            engine.run(np.zeros((1, *engine.size, 3), np.uint8), *_rho(engine.kind))


def _rho(kind: str) -> list[np.ndarray]:
    return [np.ones(2, np.float32)] if kind == "cascade" else []


def test_the_size_is_the_published_one_unless_given(
    untrained: Bundle, dense: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lc_trt.data.published.SIZE", (64, 96))
    options = replace(QUICK, size=None, rounds=1)
    assert run_bench(untrained.path, options).size == (64, 96)
    assert run_bench(dense.path, options).size == dense.manifest.size


def test_a_size_out_of_range_is_an_error(untrained: Bundle) -> None:
    with pytest.raises(UsageError, match="size 8x8: expected HxW"):
        run_bench(untrained.path, replace(QUICK, size=(8, 8)))


def test_a_missing_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match="no such bundle"):
        run_bench(tmp_path / "none.lct", QUICK)
