"""The cascade beside its peers: speed-ups over them, and accuracies that belong to the rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from lc_trt.bench.accuracy import Accuracies
from lc_trt.bench.networks import DenseNetwork
from lc_trt.bench.operating_points import rho_pair
from lc_trt.bench.race import NOT_MEASURED, Race, race
from lc_trt.bench.timing import EngineLane
from lc_trt.bundle.bundle import Bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.data.published import PEERS
from lc_trt.runtime.engines.base import Engine

NO_ENGINE = cast(Engine, None)
FRAMES = [np.zeros((1, 8, 8, 3), np.uint8)] * 2
TIMES = {"PIDNet-S": 30.0, "DDRNet-23-slim": 20.0, "dense": 40.0, "LC": 25.0, "LC fast": 10.0}


def networks(own: str) -> list[DenseNetwork]:
    def of(name: str, row: str) -> DenseNetwork:
        return DenseNetwork(name, row, name == own, None, "fp32", lambda: NO_ENGINE)

    peers = [of(name, figures.title) for name, figures in PEERS.items() if name != own]
    return [*peers, of(own, "dense")]


def lane(name: str, rho: list[tuple[float, float]] | None) -> EngineLane:
    result = EngineLane(name, NO_ENGINE, FRAMES, rho and [rho_pair(*pair) for pair in rho])
    result.times.extend([TIMES[name], 2 * TIMES[name], TIMES[name]])
    return result


def raced(manifest: Manifest, results: Path, fast: list[tuple[float, float]]) -> Race:
    dense = networks(manifest.name)
    lanes = [lane(network.row, None) for network in dense]
    if manifest.kind == "cascade":
        lanes += [lane("LC", [(0.9, 0.8)] * 2), lane("LC fast", fast)]
    fps, precisions = [1e3 / TIMES[each.name] for each in lanes], ["fp32"] * len(lanes)
    return race(dense, lanes, fps, precisions, manifest, Accuracies(results))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, rho, miou in (
        ("tiny", [0.9, 0.8], 0.71), ("tiny", [1.0, 1.0], 0.72), ("tiny", None, 0.1),
        ("pidnet-s", None, 0.65),
    ):  # fmt: skip
        path = tmp_path / f"eval-{name}-{miou}.json"
        content = {"model": name, "size": [360, 480], "rho": rho, "data": "camvid val"}
        path.write_text(json.dumps({**content, "miou": miou, "sweep": None}))
    return tmp_path


@pytest.fixture
def manifest(trained: Bundle) -> Manifest:
    return replace(trained.manifest, name="tiny")


def test_each_row_is_compared_with_each_peer(manifest: Manifest, results: Path) -> None:
    found = raced(manifest, results, [(0.5, 0.5)] * 2)
    assert [entry.name for entry in found.entries] == list(TIMES)
    for entry in found.entries:
        time = TIMES[entry.name]
        expected = {"PIDNet-S": 30.0 / time, "DDRNet-23-slim": 20.0 / time}
        assert entry.over == pytest.approx(expected)
        assert entry.fps == pytest.approx(1e3 / time)


def test_rows_have_the_accuracy_of_their_network_and_thresholds(
    manifest: Manifest, results: Path
) -> None:
    found = raced(manifest, results, [(0.5, 0.5)] * 2)
    mious = [entry.measured and entry.measured.miou for entry in found.entries]
    assert mious == [0.65, None, 0.72, 0.71, None]
    assert [entry.random_weights for entry in found.entries] == [True, True, False, False, False]
    published = [entry.published and entry.published.miou for entry in found.entries]
    assert published == [80.1, 78.6, None, None, None]


def test_a_dense_bundle_has_its_own_result(manifest: Manifest, results: Path) -> None:
    found = raced(replace(manifest, kind="dense"), results, [])
    assert found.entries[-1].measured is not None and found.entries[-1].measured.miou == 0.1


def test_random_weights_have_no_accuracy(manifest: Manifest, results: Path) -> None:
    entries = raced(replace(manifest, trained=None), results, []).entries
    assert [entry.measured is None for entry in entries] == [False, True, True, True, True]
    assert all(entry.random_weights for entry in entries)


def test_thresholds_that_differ_between_frames_have_no_accuracy(
    manifest: Manifest, results: Path
) -> None:
    found = raced(manifest, results, [(0.9, 0.8), (0.8, 0.8)])
    assert found.entries[-1].measured is None


def test_text_and_json(manifest: Manifest, results: Path) -> None:
    found = raced(manifest, results, [(0.5, 0.5)] * 2)
    pidnet, ddrnet, _, lc, _ = (
        dict(zip(found.columns, entry.cells(), strict=True)) for entry in found.entries
    )
    assert pidnet == {
        "row": "PIDNet-S", "precision": "fp32", "fps": "33.3", "over PIDNet-S": "1.00x",
        "over DDRNet-23-slim": "0.67x", "mIoU %": "65.00", "measured on": "camvid val, 360x480",
        "published mIoU %": "80.1", "published speed": "153.7 fps on an RTX 3090",
        "published on": "CamVid test, 720x960, pre-trained on ImageNet and Cityscapes",
    }  # fmt: skip
    assert (ddrnet["mIoU %"], ddrnet["published speed"]) == (NOT_MEASURED, "-")
    assert (lc["mIoU %"], lc["published mIoU %"], lc["over PIDNet-S"]) == ("71.00", "-", "1.20x")
    random, missing = found.lines()
    assert random.startswith("Random weights, as fast as trained ones: PIDNet-S, DDRNet-23-slim.")
    assert missing.startswith("not measured: no eval-*.json")
    first = json.loads(json.dumps(found.entries[0].as_dict()))
    assert first["measured"]["file"] == "eval-pidnet-s-0.65.json"
    assert first["published"]["miou"] == pytest.approx(0.801) and first["random_weights"]
    assert first["speedup_over"] == {"PIDNet-S": 1.0, "DDRNet-23-slim": 0.6667}
