"""What a measurement was made on."""

from __future__ import annotations

from pathlib import Path

import pytest

from lc_trt.utils import environment
from lc_trt.utils.environment import busy, describe_environment


def test_threads_default_to_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "busy", lambda: 0.25)
    found = describe_environment(None)
    assert found["threads"] == found["cores"] >= 1
    assert describe_environment(7)["threads"] == 7
    assert found["busy_before"] == 0.25
    assert {"lc-trt", "numpy", "onnx", "onnxruntime", "openvino"} <= set(found["versions"])


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("cpu 100 0 0 200 0 0 0 0 0 0", 0.0),  # 100 more of idle
        ("cpu 150 0 0 150 0 0 0 0 0 0", 0.5),
        ("cpu 100 0 0 100 50 0 0 50 0 0", 0.5),  # waiting for a disk is idle, stolen is not
        ("cpu 100 0 0 100 0 0 0 0 0 0", None),  # no tick passed
    ],
)
def test_what_others_use(
    after: str, expected: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 0 0 100 0 0 0 0 0 0\ncpu0 1 1\n")
    monkeypatch.setattr("time.sleep", lambda _: stat.write_text(f"{after}\ncpu0 1 1\n"))
    assert busy(stat) == expected


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    assert busy(tmp_path / "none") is None
