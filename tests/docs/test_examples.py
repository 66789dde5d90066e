"""The examples in docs/ do what they say."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from toy_models import COLOURS, toy_bundle
from toy_videos import read_video, times, write_video

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(toy_bundle(tmp_path / "toy.lct", backend="onnxruntime").path)


def test_opencv_loop(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    video, out = write_video(tmp_path / "v.mp4", 6), tmp_path / "out.avi"
    example("opencv_loop.py").main(model, str(video), str(out))
    assert len(read_video(out)) == len(capsys.readouterr().out.splitlines()) == 6


def test_pyav_file(tmp_path: Path, model: str) -> None:
    video, out = write_video(tmp_path / "v.mp4", 6, fps=12.5), tmp_path / "out.mp4"
    example("pyav_file.py").main(model, str(video), str(out))
    assert times(out) == pytest.approx(times(video), abs=0.001)


def gstreamer_missing() -> str | None:
    """What this machine lacks for a Python element, None if nothing."""
    if shutil.which("gst-launch-1.0") is None:
        return "gst-launch-1.0 (Debian: gstreamer1.0-tools)"
    inspect = subprocess.run(["gst-inspect-1.0", "python"], capture_output=True, check=False)
    if inspect.returncode != 0:
        return "GStreamer's Python loader (Debian: gstreamer1.0-python3-plugin-loader)"
    version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    code = f"{version}; import gi; gi.require_version('GstVideo', '1.0')"
    python = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, check=False)
    if python.returncode != 0:
        return "the system's Python in this version with python3-gst-1.0"
    return None


def launch(pipeline: str, folder: Path, repository: Path) -> subprocess.CompletedProcess[str]:
    """Run a pipeline with the element; skips where GStreamer is not there."""
    missing = gstreamer_missing()
    if missing:
        pytest.skip(f"needs {missing}")
    return subprocess.run(
        ["gst-launch-1.0", "-q", *pipeline.split()],
        env={
            "PATH": "/usr/bin:/bin",  # an active environment would give the loader its Python
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": f"{repository}:{sysconfig.get_path('purelib')}",
            "GST_PLUGIN_PATH": str(EXAMPLES / "gstreamer"),
            "GST_REGISTRY": str(folder / "registry"),
            "GST_DEBUG": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_gstreamer_element(tmp_path: Path, model: str, repository: Path) -> None:
    out = tmp_path / "out.raw"
    done = launch(
        "videotestsrc num-buffers=5 pattern=red ! video/x-raw,width=62,height=48 ! videoconvert "
        f"! lctrt model={model} view=mask ! filesink location={out}",
        tmp_path,
        repository,
    )
    assert done.returncode == 0, done.stderr
    stride = 188  # 3 * 62, rounded up to whole words
    frames = np.fromfile(out, np.uint8).reshape(5, 48, stride)[:, :, : 3 * 62]
    # Full red is class 3, in its colour, BGR.
    assert (frames.reshape(5, 48, 62, 3) == COLOURS[3][::-1]).all()


def test_a_wrong_model_stops_the_pipeline(tmp_path: Path, repository: Path) -> None:
    done = launch("videotestsrc num-buffers=1 ! lctrt model=none ! fakesink", tmp_path, repository)
    assert done.returncode != 0 and "no such bundle" in done.stderr
