"""What the section of a bound says in words, and the bundle that holds one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toy_models import DEFAULT_RHO, toy_bundle, toy_manifest

from lc_trt.bundle.bundle import read_bundle, rewrite_bundle
from lc_trt.bundle.exit_bound import (
    CONFORMAL,
    EMPIRICAL,
    LABELS_CHANGED,
    MIOU_LOST,
    TESTED,
    ExitBound,
)
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.typed_json import JsonError

BOUND = ExitBound(
    measure=LABELS_CHANGED,
    limit=0.01,
    form=CONFORMAL,
    confidence=None,
    rho=DEFAULT_RHO,
    measured=0.0042,
    images=480,
    path_images=20,
    clips=0,
    origin="photos",
    images_sha256="ab" * 32,
    created="2026-11-30T09:00:00+00:00",
    lc_trt_version="0.1.0",
)
END = "on 480 images of photos (abababab), 2026-11-30, lc-trt 0.1.0"


def test_the_bound_in_words() -> None:
    changed = "at most 1 % of labels changed by early exit, on average over images like those"
    assert BOUND.summary == (f"{changed} measured (conformal risk control); measured 0.42 % {END}")
    sure = replace(BOUND, form=TESTED, confidence=0.95, clips=3)
    assert sure.summary == (
        f"with 95 % confidence {changed} measured ({TESTED}); measured 0.42 % on 480 frames of 3 "
        "videos of photos (abababab), 2026-11-30, lc-trt 0.1.0"
    )
    miou = replace(BOUND, measure=MIOU_LOST, form=EMPIRICAL, limit=0.003, measured=0.0021)
    assert miou.summary == (
        "at most 0.3 points of mIoU lost by early exit (empirical, not a bound); measured 0.21 "
        f"points {END}"
    )


def test_a_bundle_keeps_it(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "toy.lct")
    assert read_bundle(bundle.path).manifest.bound is None
    bound = replace(BOUND, rho=(0.75, 0.5))
    changed = replace(bundle.manifest, default_rho=bound.rho, bound=bound)
    assert rewrite_bundle(bundle, manifest=changed).manifest.bound == bound
    stored = read_bundle(bundle.path).manifest
    assert stored.bound == bound and stored.default_rho == (0.75, 0.5)
    # Nothing else changed.
    assert replace(stored, default_rho=DEFAULT_RHO, bound=None) == bundle.manifest


def test_it_says_when_and_by_which_version_it_was_chosen() -> None:
    names = {n: getattr(BOUND, n) for n in ExitBound.__dataclass_fields__}
    del names["created"], names["lc_trt_version"]
    now = ExitBound(**names)
    assert now.created > BOUND.created and now.lc_trt_version


def test_a_bound_of_other_thresholds_is_refused() -> None:
    for bound in (replace(BOUND, rho=(0.5, 0.5)), replace(BOUND, form="a guess")):
        text = replace(toy_manifest(), bound=bound).dumps()
        with pytest.raises(JsonError, match=r"^has bound"):
            Manifest.loads(text)
    assert Manifest.loads(replace(toy_manifest(), bound=BOUND).dumps()).bound == BOUND
