"""A whole evaluation computes the requested parts only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from recording_monitor import RecordingMonitor
from toy_models import CLASSES, FAST_RHO, SIZE, bgr, toy_bundle

from lc_trt.compiler.frontend.import_model import ImportOptions
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.runner import PICTURES, Options, measure

IMAGES = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets") / "toys"
    for kind in ("images", "labels"):
        (root / "val" / kind).mkdir(parents=True)
    for i in range(IMAGES):
        cv2.imwrite(str(root / "val" / "images" / f"{i}.png"), bgr(40 * i, 200, 64 * (i % 4)))
        cv2.imwrite(str(root / "val" / "labels" / f"{i}.png"), np.full(SIZE, i % 4, np.uint8))
    return root


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("engines") / "toy.lct").path


def test_everything(bundle: Path, data: Path, tmp_path: Path) -> None:
    monitor = RecordingMonitor()
    options = Options(rho="fast", sweep=True, threads=1, report=tmp_path / "report")
    outcome = measure(bundle, data, options, command="lc-trt eval", monitor=monitor)
    assert monitor.phases == {
        "evaluating": (IMAGES, IMAGES),
        "sweeping": (8 * (IMAGES + 1),) * 2,
        "drawing": (PICTURES, PICTURES),
    }
    assert outcome.rho == FAST_RHO
    assert outcome.evaluation.miou == 1
    # Blue above 127 leaves at stage 1: images 4 and 5. Green, 200, leaves at stage 2.
    assert outcome.evaluation.shares == pytest.approx((2 / 6, 4 / 6, 0))
    assert (outcome.model, outcome.data, outcome.classes.names) == ("toy", "toys val", CLASSES)
    assert outcome.environment["threads"] == 1 and "lc-trt" in outcome.environment["versions"]
    page = (tmp_path / "report" / "index.html").read_text()
    assert [name for name in "012345" if f"<h3>{name}</h3>" in page] == ["0", "1", "3", "4"]


def test_only_requested_parts_are_evaluated(bundle: Path, data: Path) -> None:
    monitor = RecordingMonitor()
    outcome = measure(bundle, data, Options(limit=2), monitor=monitor)
    assert monitor.phases == {"evaluating": (2, 2)}
    assert (list(outcome.points), outcome.grid, outcome.evaluation.images) == ([], False, 2)


def test_a_report_is_refused_before_a_model_is_opened(data: Path) -> None:
    with pytest.raises(LcTrtError, match="holds other files"):
        measure(data / "no.lct", data, Options(report=data))


def test_invalid_options_are_refused_first(bundle: Path, data: Path, tmp_path: Path) -> None:
    dense = toy_bundle(tmp_path / "dense.lct", "dense").path
    monitor = RecordingMonitor()
    for model, options, line in (
        (dense, Options(sweep=True), "omit --rho-sweep"),
        (dense, Options(grid=True), "omit --rho-sweep and --grid"),
        (dense, Options(rho=0.5), "the network is dense"),
        (bundle, Options(rho=(0.1, 0.2, 0.3)), "rho"),
        (bundle, Options(layout="voc"), "layout voc"),
        (bundle, Options(imports=ImportOptions((64, 64))), "--size 64x64"),
    ):
        with pytest.raises(UsageError, match=line):
            measure(model, data, options, monitor=monitor)
    assert monitor.phases == {}


def test_evaluating_a_bundle_loads_no_torch_and_no_figures() -> None:
    code = (
        "import importlib, pkgutil, sys; import lc_trt.evaluation as e\n"
        "for m in pkgutil.iter_modules(e.__path__):\n"
        "    if m.name not in ('figures', 'tune_figure', 'exit_figure'):\n"
        "        importlib.import_module(f'lc_trt.evaluation.{m.name}')\n"
        "print([n for n in ('torch', 'matplotlib', 'jinja2', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
