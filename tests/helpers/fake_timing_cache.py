"""TensorRT's timing cache: reading, merging and writing files."""

from __future__ import annotations

import json


class Cache:
    """ITimingCache: times by kernel, of one GPU."""

    def __init__(self, content: bytes) -> None:
        self.body = json.loads(content or b'{"gpu": "a", "times": {}}')

    def combine(self, other: Cache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if other.body["gpu"] != self.body["gpu"]:
            return False
        # Entries that are there already stay.
        self.body["times"] = {**other.body["times"], **self.body["times"]}
        return True

    def serialize(self) -> bytes:
        return json.dumps(self.body).encode()
