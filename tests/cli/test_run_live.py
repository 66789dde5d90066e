"""`lc-trt run` of sources without an end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_models import toy_bundle
from toy_videos import read_video, write_video


def test_a_camera_over_http_is_lost_and_comes_back(tmp_path: Path, repository: Path) -> None:
    """Debian's ffmpeg serves, is killed and starts again; Ctrl-C ends the run."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs ffmpeg (Debian: ffmpeg)")
    toy_bundle(tmp_path / "toy.lct", backend="onnxruntime")
    write_video(tmp_path / "v.avi", 100)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/cam.ts"
    read = ["-v", "error", "-re", "-stream_loop", "-1", "-i", str(tmp_path / "v.avi")]
    serve = ["-c:v", "mpeg2video", "-g", "5", "-f", "mpegts", "-listen", "1", url]
    server = subprocess.Popen([ffmpeg, *read, *serve], stderr=subprocess.DEVNULL)
    process = None
    try:
        wait_for_listener(int(url.split(":")[2].split("/")[0]))
        arguments = ["-s", url, "-o", "out.mkv", "--json", "--timeout", "10", "--retries", "50"]
        process = subprocess.Popen(
            [sys.executable, "-m", "lc_trt", "run", "toy.lct", "--threads", "1", *arguments],
            env={**os.environ, "PYTHONPATH": str(repository)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(20):
            assert json.loads(process.stdout.readline())["source"] == url
        server.kill()
        server.wait()
        server = subprocess.Popen([ffmpeg, *read, *serve], stderr=subprocess.DEVNULL)
        before = time.monotonic()
        lines = 0
        while time.monotonic() - before < 1 or lines < 20:  # some are still in the pipe
            lines += bool(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        for one in (server, process):
            if one is not None:
                one.kill()
                one.wait()
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert process.returncode == 0 and summary["interrupted"], err
    assert summary["reconnects"] == 1, err
    assert f"{url}: reconnected once" in summary["problems"]
    assert f"warning: {url}: reconnected once" in err
    assert len(read_video(tmp_path / "out.mkv")) == summary["frames"]


def wait_for_listener(port: int) -> None:
    """Until something listens there; asking it would take the place of its only client."""
    deadline = time.monotonic() + 30
    while f":{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
