"""Growth of memory during a soak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine, numbered_frames, random_levels
from recording_monitor import RecordingMonitor

from lc_trt.bench import memory
from lc_trt.bench.memory import Memory, resident_mb, soak


def test_resident_memory_follows_an_allocation() -> None:
    before = resident_mb()
    block = np.ones(64 * 2**20, np.uint8)
    assert 50 < resident_mb() - before < 80
    assert block.any()


def test_a_leak_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaking(FakeEngine):
        def _infer(self, feed: dict[str, Any]) -> dict[str, Any]:
            levels.append(levels[-1] + 2)
            return super()._infer(feed)

    levels = [100.0]
    monkeypatch.setattr(memory, "resident_mb", lambda: levels[-1])
    result = soak(Leaking(None), numbered_frames(3), 10)
    assert result == Memory(10, 100, 110, 120)
    assert result.as_dict() == {
        "frames": 10, "start_mb": 100, "end_mb": 120, "growth_mb": 20, "second_half_mb": 10,
    }  # fmt: skip


def test_regions_change_from_frame_to_frame() -> None:
    shape = (1, 80, 80)
    engine = FakeEngine(random_levels(2, (1, 10, 10)), shape=shape)
    monitor = RecordingMonitor()
    soak(engine, numbered_frames(2, shape), 40, monitor=monitor)
    assert monitor.phases == {"watching memory": (40, 40)}
    runs = engine.passes[4:]  # after two passes per frame for its confidences
    assert len(runs) == 40
    assert [number for number, _ in runs[:4]] == [0, 1, 0, 1]
    assert len({rho for _, rho in runs}) == 40
    reaching = [
        float(np.mean(~(engine.levels[number][0] > rho[0])))  # type: ignore[index]
        for number, rho in runs
        if rho is not None
    ]
    assert min(reaching) < 0.2
    assert max(reaching) > 0.8
