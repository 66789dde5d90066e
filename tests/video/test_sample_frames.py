"""Sample frames for benchmarks and verification."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from toy_videos import write_video

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Source
from lc_trt.video.sample_frames import PHOTOGRAPHS, describe, load_frames

SIZE = (36, 60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures with a blue of 0, 10, ... 60, and a text file."""
    for i in range(7):
        noise = np.random.default_rng(i).integers(0, 255, (50, 80, 3), np.uint8)
        noise[..., 0] = 10 * i
        cv2.imwrite(str(tmp_path / f"{i}.png"), noise)
    (tmp_path / "notes.txt").write_text("text")
    return tmp_path


def distinct(frames: list[np.ndarray]) -> int:
    return len({frame.tobytes() for frame in frames})


def test_default_photographs_are_read_without_importing_their_package() -> None:
    code = (
        "import sys; from lc_trt.video.sample_frames import load_frames;"
        "f = load_frames(None, 30, (36, 60));"
        "print(len(f), len({x.tobytes() for x in f}), 'skimage' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["30", "30", "False"]


def test_default_photographs_are_colourful() -> None:
    for frame in load_frames(None, len(PHOTOGRAPHS), SIZE):
        assert frame.std(axis=2).mean() > 2, "a grey picture"
        assert frame.std() > 20, "a flat picture"


def without_a_folder() -> ModuleType:
    module = ModuleType("skimage")
    module.__spec__ = ModuleSpec("skimage", None)
    return module


@pytest.mark.parametrize("module", [None, without_a_folder()], ids=["missing", "no package"])
def test_without_photographs_the_error_says_how_to_install_them(
    module: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", module)
    with pytest.raises(LcTrtError, match=r"pip install 'lc-trt\[bench\]'.*--images DIR"):
        load_frames(None, 2, SIZE)


def test_a_package_without_its_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "skimage").mkdir()
    (tmp_path / "skimage" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    with pytest.raises(LcTrtError, match="lacks its photographs"):
        load_frames(None, 2, SIZE)


def test_whole_images_come_before_crops(folder: Path) -> None:
    frames = load_frames(folder, 20, SIZE)
    assert len(frames) == distinct(frames) == 20
    assert {(f.shape, f.dtype, f.flags.c_contiguous) for f in frames} == {
        ((*SIZE, 3), np.dtype(np.uint8), True)
    }
    first = cv2.imread(str(folder / "0.png"))
    assert np.array_equal(frames[0], cv2.resize(first, (60, 36), interpolation=cv2.INTER_AREA))
    # Round-robin over the pictures.
    assert [int(f[..., 0].mean().round()) for f in frames] == [10 * (i % 7) for i in range(20)]


def test_crops_depend_on_the_seed(folder: Path) -> None:
    once, again, other = (load_frames(folder, 9, SIZE, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not np.array_equal(once[8], other[8])


def test_a_few_frames_are_spread_over_all_images(folder: Path) -> None:
    frames = load_frames(folder, 3, SIZE)
    assert [int(f[..., 0].mean().round()) for f in frames] == [0, 20, 40]


def test_frames_are_spread_over_a_video(tmp_path: Path) -> None:
    path = tmp_path / "street.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for i in range(20):
        writer.write(np.full((48, 64, 3), 10 * i, np.uint8))
    writer.release()
    frames = load_frames(path, 5, SIZE)
    assert [f.mean() for f in frames] == pytest.approx([0, 40, 80, 120, 160], abs=4)


def test_a_camera_that_drops_frames_gives_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    class Camera(Source):
        name, count, fps = "camera", None, 25.0

        def __iter__(self) -> Iterator[Frame]:
            for index in range(0, 100, 3):
                yield Frame.of_video(np.full((48, 64, 3), index, np.uint8), index, index / 25)

    # `load_frames` imports it when called.
    monkeypatch.setattr("lc_trt.video.sources.open.open_source", lambda text: Camera())
    frames = load_frames(Path("0"), 4, SIZE)
    assert [f.mean() for f in frames] == [0, 3, 6, 9]


@pytest.mark.parametrize(("size"), [(300, 500), (8, 200), (200, 8)])
def test_pictures_of_any_shape_are_resized(size: tuple[int, int], tmp_path: Path) -> None:
    for i, shape in enumerate([(1, 1), (3, 400), (400, 3)]):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((*shape, 3), 9, np.uint8))
    assert {f.shape for f in load_frames(tmp_path, 12, size)} == {(*size, 3)}


def test_missing_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match="no such file"):
        load_frames(tmp_path / "none", 2, SIZE)
    with pytest.raises(LcTrtError, match="no images"):
        load_frames(tmp_path, 2, SIZE)


def test_descriptions_have_no_local_folders(tmp_path: Path) -> None:
    assert describe(tmp_path / "street.mp4") == "street.mp4"
    assert "scikit-image" in describe(None)


def test_frames_are_spread_over_the_videos_of_a_folder(tmp_path: Path) -> None:
    for name, frames in (("a", 10), ("b", 4)):
        write_video(tmp_path / f"{name}.avi", frames)
    frames = load_frames(tmp_path, 4, SIZE)
    assert [f.mean() for f in frames] == pytest.approx([44, 155, 66, 200], abs=4)
