"""Text and JSON of a bench's results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lc_trt.bench.memory import Memory
from lc_trt.bench.report import COLUMNS, Report, Row, Target
from lc_trt.bundle.exit_bound import CONFORMAL, LABELS_CHANGED, ExitBound
from lc_trt.errors import LcTrtError

DENSE = Row("dense", "openvino", "fp32", 9.0, {"p50": 111.1, "p95": 120.0, "p99": 130.0}, 1.0)
FAST = replace(
    DENSE,
    name="LC fast",
    fps=20.0,
    speedup=1.8,
    stage_ms=(15.0, 25.0, 10.0),
    shares=(0.56, 0.29, 0.15),
    ceiling=2.0,
    published_fps=23.6,
)
REPORT = Report(
    model="tiny",
    rows=[DENSE, FAST],
    reference=DENSE,
    size=(300, 500),
    batch=1,
    rounds=25,
    content="street.mp4",
    environment={"cpu": "A CPU", "threads": 2},
    command="lc-trt bench tiny.lct",
    target=Target("LC fast", 20.0, 23.6),
    memory=Memory(500, 900.0, 940.0, 941.2),
)


def test_cells() -> None:
    assert dict(zip(COLUMNS, FAST.cells(), strict=True)) == {
        "row": "LC fast",
        "backend": "openvino",
        "fps": "20.0",
        "published": "23.6",
        "p50 / p95 / p99 ms": "111.1 / 120.0 / 130.0",
        "stages ms": "15.0 / 25.0 / 10.0",
        "shares %": "56 / 29 / 15",
        "speed-up": "1.80x",
        "ceiling": "2.00x",
        "reached": "90 %",
    }
    assert DENSE.cells().count("-") == 5


@pytest.mark.parametrize(("fps", "met"), [(23.5, False), (23.6, True), (30, True)])
def test_target(fps: float, met: bool) -> None:
    assert Target("LC fast", fps, 23.6).as_dict() == {
        "row": "LC fast", "fps": fps, "required": 23.6, "met": met,
    }  # fmt: skip


def test_title_says_what_was_measured() -> None:
    assert REPORT.title() == "tiny at 300x500, fp32, 2 threads of A CPU, 25 rounds on street.mp4"
    single = replace(REPORT, batch=4, environment={"cpu": "A CPU", "threads": 1})
    assert "300x500, batch 4, fp32, 1 thread of" in single.title()


def test_lines_end_with_the_target() -> None:
    reference, memory, target = REPORT.lines()
    assert reference.startswith("Speed-up over dense on openvino")
    assert memory.endswith("500 frames of changing regions: 900 to 941 MiB, +1 in the second half.")
    assert target == "Target: LC fast 20.0 fps, required 23.6: missed"
    assert replace(REPORT, rows=[DENSE], target=None, memory=None).lines() == []


def test_the_bound_is_reported_and_whether_it_applies() -> None:
    bound = ExitBound(
        LABELS_CHANGED, 0.01, CONFORMAL, None, (0.9, 0.8), 0.004, 480, 20, 0, "photos", "c" * 64
    )
    assert REPORT.as_dict()["bound"] is None
    report = replace(REPORT, bound=bound, bound_applies=True)
    assert report.lines()[1] == f"Bound on exits: {bound.summary}."
    assert report.as_dict()["bound"]["limit"] == 0.01 and report.as_dict()["bound"]["applies"]
    other = replace(report, bound_applies=False)
    assert other.lines()[1].startswith("Bound on exits, but not for LC here (other size or shares)")
    assert json.loads(json.dumps(other.as_dict()))["bound"]["applies"] is False


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("older")
    REPORT.write(path)
    assert json.loads(path.read_text()) == REPORT.as_dict()
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.mkdir()
    with pytest.raises(LcTrtError, match=r"bench\.json: cannot be written"):
        REPORT.write(path)
    assert list(tmp_path.iterdir()) == [path]
    assert list(path.iterdir()) == []
