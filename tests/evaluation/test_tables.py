"""Cells of the tables."""

from __future__ import annotations

from toy_evaluations import STREET, VOC, evaluation, points

from lc_trt.evaluation import tables
from lc_trt.evaluation.sweep import THRESHOLDS


def test_accuracy() -> None:
    table = tables.accuracy(evaluation(STREET))
    assert table.columns == ("class", "IoU %")
    assert table.rows == (
        ("sky", "50.0"), ("<b>road", "51.0"), ("car", "absent"), ("mean", "43.2"),
    )  # fmt: skip


def test_voc_is_shown_with_published_rows() -> None:
    table = tables.accuracy(evaluation(VOC))
    assert table.columns[table.first_published :] == (
        "FCN", "DeepLab", "RNN", "Adelaide", "LC",
        "RNN +COCO", "BoxSup +COCO", "DeepLab-v2 +COCO", "LC +COCO",
    )  # fmt: skip
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["background"] == ("50.0", *["-"] * 9)
    assert rows["aeroplane"][1:6] == ("76.8", "84.4", "87.5", "91.9", "94.1")
    assert rows["tvmonitor"] == (
        "absent", "55.1", "63.7", "67.1", "72.7", "72.2", "70.1", "70.7", "74.5", "79.6",
    )  # fmt: skip
    assert rows["mean"][1:] == (
        "62.2", "71.6", "72.0", "79.1", "80.3", "74.7", "75.2", "79.7", "82.7",
    )  # fmt: skip


def test_exit_shares_by_class() -> None:
    table = tables.left_by_class(evaluation(STREET))
    assert table.rows[0] == ("sky", "25.0", "0.0", "75.0")
    assert table.rows[2] == ("car", "absent", "absent", "absent")
    table = tables.left_by_class(evaluation(VOC))
    rows = {row[0]: row[4] for row in table.rows}
    assert (rows["cat"], rows["diningtable"]) == ("8.2/39.2/52.6", "4.9/14.3/80.8")
    assert rows["person"] == "-"


def test_near_boundary() -> None:
    assert tables.near_boundary(evaluation()).rows == (
        ("easy (stage 1)", "6.7", "6.7"),
        ("moderate (stage 2)", "-", "19.0"),
        ("hard (stage 3)", "68.0", "68.0"),
    )


def test_thresholds_are_those_with_a_published_row() -> None:
    for grid in (False, True):
        table = tables.thresholds(points(grid))
        assert [row[0] for row in table.rows] == [f"{rho:g}" for rho in THRESHOLDS]
        assert table.rows[0] == (
            "1", "50.0", "0.0", "50.0", "70.00", "90.00", "130.0", "0/0", "72.70",
        )  # fmt: skip
        assert table.rows[2][table.first_published :] == ("23/29", "73.91")


def test_grid() -> None:
    table = tables.grid(points(True))
    # Slower is better here, so each pair is the best at its time, but for ties.
    assert table.columns[1:] == tuple(f"{rho:g}" for rho in THRESHOLDS)
    assert table.rows[-1][0] == "0.8"
    assert table.rows[-1][1] == "68.0 / 110"  # 0.8, 1
    assert table.rows[0][-1] == "68.0 / 128"  # 1, 0.8: as accurate and slower
    best = tables.front(points(True))
    assert best.rows[0][:2] == ("0.8", "0.8")
    assert best.rows[-1][:2] == ("1", "1")
    assert ("1", "0.8") not in [row[:2] for row in best.rows]
