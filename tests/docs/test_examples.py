"""The examples in docs/ run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from toy_models import COLOURS, toy_bundle
from toy_videos import read_video, times, write_video, write_webm

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


@pytest.mark.parametrize("document", ["README.md", "docs/video.md"])
def test_the_first_code_block_of_a_document_runs(
    tmp_path: Path, model: str, repository: Path, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    """The first Python block, in a folder with the files that it names."""
    Path(model).rename(tmp_path / "model.lct")
    monkeypatch.chdir(tmp_path)
    frame = np.full((90, 120, 3), 255, np.uint8)
    cv2.imwrite("street.png", frame)
    shown: list[np.ndarray] = []
    block = (repository / document).read_text().split("```python\n")[1].split("```")[0]
    namespace = {"frame": frame, "frames": [frame] * 3, "show": shown.append}
    exec(compile(block, document, "exec"), namespace)
    if document == "README.md":
        shown.append(np.asarray(cv2.imread("overlay.png")))
    assert shown and all(picture.shape == frame.shape for picture in shown)


def gstreamer_missing() -> str | None:
    """What is missing for a Python element; None if nothing."""
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
    """Run a pipeline with the element; skips without GStreamer."""
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
        timeout=60,
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


def test_gstreamer_decodes_a_file(tmp_path: Path, model: str, repository: Path) -> None:
    """As in the documents, with GStreamer's decoder; read back with OpenCV's."""
    video, out = write_webm(tmp_path / "v.webm", 6), tmp_path / "out.avi"
    done = launch(
        f"filesrc location={video} ! decodebin ! videoconvert ! lctrt model={model} view=mask "
        f"fast=true ! videoconvert ! jpegenc quality=98 ! avimux ! filesink location={out}",
        tmp_path,
        repository,
    )
    assert done.returncode == 0, done.stderr
    found = read_video(out)
    assert len(found) == 6 and found[0].shape == (48, 64, 3)
    # From black to bright: class 0 first, and class 3 at the end, in their colours.
    for picture, label in ((found[0], 0), (found[-1], 3)):
        assert np.abs(picture.astype(int) - COLOURS[label][::-1]).mean() < 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("model=none", "no such bundle"),
        ("model={cascade} view=side-by-side", "expected overlay, mask, stages"),
        ("model={dense} view=stages", "dense and has no stages"),
    ],
)
def test_a_mistake_stops_the_pipeline(
    tmp_path: Path, model: str, repository: Path, options: str, message: str
) -> None:
    dense = toy_bundle(tmp_path / "dense.lct", "dense", backend="onnxruntime").path
    pipeline = f"videotestsrc num-buffers=2 ! lctrt {options} ! fakesink"
    done = launch(pipeline.format(cascade=model, dense=dense), tmp_path, repository)
    assert done.returncode != 0 and message in done.stderr and "Traceback" not in done.stderr
