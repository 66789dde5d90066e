"""Reads a run's log as TensorBoard does: TFRecords of Event messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def events(folder: Path) -> Iterator[Event]:
    """All events of a run's folder."""
    for path in sorted((folder / "log").iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            yield Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4


def scalars(folder: Path) -> dict[tuple[int, str], float]:
    """Values by step and tag."""
    return {
        (event.step, value.tag): value.simple_value
        for event in events(folder)
        for value in event.summary.value
    }
