"""Timing cache files are merged under a lock and written atomically."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from fake_timing_cache import Cache

from lc_trt.errors import LcTrtError
from lc_trt.trt.timing_cache import merge_cache, use_cache


class Config:
    """IBuilderConfig; its builder times what the cache lacks."""

    def __init__(self) -> None:
        self.cache = Cache(b"")

    def create_timing_cache(self, content: bytes) -> Cache:
        return Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return bool(cache.body["gpu"] == "a")

    def get_timing_cache(self) -> Cache:
        return self.cache


def build(path: Path, times: Mapping[str, int]) -> dict[str, int]:
    """A build that measures ``times``; returns the times that it started with."""
    config = Config()
    use_cache(config, path)
    before = dict(config.cache.body["times"])
    config.cache.body["times"].update(times)
    merge_cache(config, path)
    return before


def test_builds_reuse_the_times_of_earlier_ones(tmp_path: Path) -> None:
    path = tmp_path / "new" / "times"
    assert build(path, {"conv": 3}) == {}
    assert build(path, {"pool": 4}) == {"conv": 3}
    assert build(path, {}) == {"conv": 3, "pool": 4}
    assert sorted(p.name for p in path.parent.iterdir()) == ["times", "times.lock"]


def test_concurrent_builds_lose_nothing(tmp_path: Path) -> None:
    first, second, path = Config(), Config(), tmp_path / "times"
    for config, kernel in ((first, "conv"), (second, "pool")):
        use_cache(config, path)
        config.cache.body["times"][kernel] = 1
    merge_cache(first, path)
    merge_cache(second, path)
    assert json.loads(path.read_bytes())["times"] == {"conv": 1, "pool": 1}


def test_processes_lock_the_file(tmp_path: Path) -> None:
    path, here = tmp_path / "times", Path(__file__)
    code = (
        "import sys; from pathlib import Path; from test_timing_cache import build\n"
        "for i in range(30): build(Path(sys.argv[1]), {f'{sys.argv[2]}{i}': 1})"
    )
    tests = here.parents[1]
    search = os.pathsep.join(map(str, (here.parent, tests / "helpers", tests.parent)))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, path, name], env={**os.environ, "PYTHONPATH": search}
        )
        for name in "ab"
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert len(json.loads(path.read_bytes())["times"]) == 60


def test_a_cache_of_another_gpu_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "times"
    path.write_text('{"gpu": "b", "times": {}}')
    with pytest.raises(LcTrtError, match="was written by another TensorRT or for another GPU"):
        use_cache(Config(), path)
    with pytest.raises(LcTrtError, match="was written by another TensorRT or for another GPU"):
        merge_cache(Config(), path)
    assert json.loads(path.read_bytes())["gpu"] == "b"


def test_an_unwritable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LcTrtError, match=r"--timing-cache .*choose another file"):
        use_cache(Config(), tmp_path / "file" / "times")
    with pytest.raises(LcTrtError, match="Is a directory; choose another file"):
        use_cache(Config(), tmp_path)
