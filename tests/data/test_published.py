"""The published figures, as far as they can be held against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lc_trt.data.published import (
    DENSE_FPS,
    EXIT_SHARES_BY_CLASS,
    METHODS,
    NEAR_BOUNDARY,
    PEERS,
    POINTS,
    RHO_TABLE,
    SPEEDS,
    TARGET_FPS,
    VOC,
    Method,
    dense_fps,
    rho_row,
)
from lc_trt.model import baselines
from lc_trt.model.presets import BASELINES, PRESETS


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.title)
def test_the_mean_leaves_a_likely_background(method: Method) -> None:
    # The mean is over 21 classes and the background's is not published. It is nearly always the
    # best class, and what is wrong with another one's value comes out as this one's.
    assert len(method.iou) == len(VOC) - 1
    background = len(VOC) * method.miou - sum(method.iou)
    assert 90 <= background <= 100
    assert background > max(method.iou) - 3


def test_labels_and_titles() -> None:
    lc = METHODS[4]
    assert (lc.class_iou(0), lc.class_iou(VOC.names.index("bicycle")), lc.title) == (
        None,
        63.0,
        "LC",
    )
    assert METHODS[-1].title == "LC +COCO"
    assert len({method.title for method in METHODS}) == len(METHODS)


def test_shares_are_possible() -> None:
    assert all(sum(row.exited) <= 100 for row in RHO_TABLE)
    for name, shares in EXIT_SHARES_BY_CLASS.items():
        assert name in VOC.names
        assert sum(shares) == pytest.approx(100, abs=0.15)


@pytest.mark.parametrize("row", POINTS)
def test_times_and_shares_sum_up(row: str) -> None:
    point = POINTS[row]
    assert sum(point.shares) == pytest.approx(1)
    assert rho_row((point.row.rho, point.row.rho)) is point.row
    assert (1e3 / point.fps, point.row.miou) in [
        (pytest.approx(ms, rel=0.05), miou) for ms, miou in SPEEDS.values()
    ]
    # The poster's time is that of its frame rate, rounded and with what surrounds the stages.
    assert 1e3 / sum(point.stage_ms) == pytest.approx(point.fps, rel=0.06)


def tables(text: str, column: str) -> Iterator[dict[str, str]]:
    """Rows of the Markdown tables that have a column, by column."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        header, _, *rows = (
            [c.strip() for c in r.strip("|").split("|")] for r in block.splitlines()
        )
        if column in header:
            yield from (dict(zip(header, row, strict=True)) for row in rows)


def test_the_readme_quotes_the_published_speeds(repository: Path) -> None:
    rows = list(tables((repository / "README.md").read_text(), "published (GPU)"))
    assert {row["row"] for row in rows} >= set(POINTS)
    for row in rows:
        point = POINTS.get(row["row"])
        expected = DENSE_FPS["irnet"] if point is None else point.fps
        assert float(row["published (GPU)"]) == expected, row


def test_documents_quote_the_published_thresholds_and_target(repository: Path) -> None:
    evaluation = " ".join((repository / "docs" / "evaluation.md").read_text().split())
    quoted = re.search(r"paper's eight thresholds \(([^)]*)\)", evaluation)
    assert quoted is not None
    assert tuple(map(float, quoted[1].split(","))) == tuple(row.rho for row in RHO_TABLE)
    boundary = re.search(r"its ([\d.]+), ([\d.]+) and ([\d.]+) % \(VOC\)", evaluation)
    assert boundary is not None and tuple(map(float, boundary.groups())) == NEAR_BOUNDARY
    readme = " ".join((repository / "README.md").read_text().split())
    targets = re.findall(r"--target-fps ([\d.]+)|published ([\d.]+) FPS", readme)
    assert targets and {float(a or b) for a, b in targets} == {TARGET_FPS}
    points = re.search(r"\*LC\* \(rho ([\d.]+)\) and \*LC fast\* \(rho ([\d.]+)\)", readme)
    assert points is not None
    assert tuple(map(float, points.groups())) == tuple(p.row.rho for p in POINTS.values())


def test_a_smaller_threshold_lets_more_leave_early() -> None:
    assert [row.rho for row in RHO_TABLE] == sorted((row.rho for row in RHO_TABLE), reverse=True)
    first = [row.exited[0] for row in RHO_TABLE]
    assert first == sorted(first)
    assert rho_row((0.985, 0.8)) is None


def test_every_network_of_ours_has_its_published_row() -> None:
    assert {dense_fps(name) for name in (*PRESETS, *BASELINES)} == {5.7, 7.1, 9.0}
    assert dense_fps("my-network") is None


def test_every_peer_has_published_figures() -> None:
    assert list(PEERS) == list(baselines.PEERS)
    for figures in PEERS.values():
        assert 70 < figures.miou < 85 and figures.source
        assert (figures.fps is None) == (figures.gpu is None) == (figures.speed is None)
    assert PEERS["pidnet-s"].speed == "153.7 fps on an RTX 3090"


def test_the_figures_of_the_peers_are_of_one_table() -> None:
    """Those with Cityscapes pre-training; DDRNet's own paper has 74.7 % without it."""
    pidnet, ddrnet = PEERS["pidnet-s"], PEERS["ddrnet-23-slim"]
    assert ddrnet.source == f"CamVid table of {pidnet.source}"
    assert ddrnet.protocol == pidnet.protocol
    assert "Cityscapes" in ddrnet.pretraining and ddrnet.miou == 78.6
