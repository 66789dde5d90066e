"""Bundles that lc-trt wrote before they had a bound still load."""

from __future__ import annotations

import json
from pathlib import Path

from toy_models import toy_bundle, toy_manifest

from lc_trt.bundle.bundle import MANIFEST, read_bundle
from lc_trt.bundle.manifest import FORMAT, Manifest
from lc_trt.bundle.manifest_v2 import FORMAT as OLD


def format_2(manifest: Manifest) -> str:
    """The JSON of a manifest as builds of format 2 wrote it."""
    body = json.loads(manifest.dumps())
    del body["bound"]
    return json.dumps({**body, "format": OLD})


def test_a_manifest_of_format_2_has_no_bound() -> None:
    manifest = toy_manifest()
    assert OLD == 2 and manifest.bound is None
    found = Manifest.loads(format_2(manifest))
    assert found == manifest
    assert json.loads(found.dumps())["format"] == FORMAT


def test_a_bundle_of_format_2_loads(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "toy.lct")
    (bundle.path / MANIFEST).write_text(format_2(bundle.manifest))
    assert read_bundle(bundle.path).manifest == bundle.manifest
