"""Videos: upright, at their own times, and as much of a damaged one as there is."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_models import bgr
from toy_videos import add_sound, read_video, times, write_video

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame
from lc_trt.video.sinks.encode import VideoSink
from lc_trt.video.sources.video_file import VideoFile


def quarters() -> np.ndarray:
    """A picture whose four quarters can be told apart, 48 x 64."""
    picture = bgr(0, 0, 0, (48, 64))
    picture[:24, :32], picture[:24, 32:] = (0, 0, 250), (0, 250, 0)
    picture[24:, :32] = (250, 0, 0)
    return picture


def film(path: Path, count: int = 5, moments: list[float] | None = None, noise: int = 0) -> Path:
    """Quarters, with noise where the file has to be large."""
    rng = np.random.default_rng(0)
    sink = VideoSink(path, 25, scale=False)
    for i in range(count):
        picture = quarters()
        picture[:, :, 0] += rng.integers(0, noise + 1, picture.shape[:2]).astype(np.uint8)
        sink.write(picture, Frame(picture, i, "f", moments[i] if moments else i / 25))
    sink.finish()
    return path


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's list of threads")
def test_closed_in_the_middle_it_leaves_no_thread(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4", count=20)

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = threads()
    source = VideoFile(str(path))
    frames = iter(source)
    next(frames), next(frames)
    assert threads() > before, "the codec has threads of its own"
    source.close()
    assert threads() == before
    assert list(frames) == [] and source.problems() == []


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_phone_gives_upright_frames(tmp_path: Path, degrees: int) -> None:
    path = film(tmp_path / "v.mp4")
    content = bytearray(path.read_bytes())
    # The display matrix of the track header: 16.16 fixed point (ISO/IEC 14496-12, 8.3.2).
    matrix = content.index(b"tkhd") + 4 + 40
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    struct.pack_into(">5i", content, matrix, *(v << 16 for v in (cos, sin, 0, -sin, cos)))
    path.write_bytes(content)
    with VideoFile(str(path)) as source:
        found = [frame.image for frame in source]
    expected = read_video(path)  # OpenCV turns them too
    assert len(found) == len(expected) == 5
    assert found[0].shape == ((64, 48, 3) if degrees in (90, 270) else (48, 64, 3))
    assert np.abs(found[0].astype(int) - expected[0]).mean() < 3
    clockwise = np.rot90(quarters(), -degrees // 90)
    assert np.abs(found[0].astype(int) - clockwise).mean() < 6


def test_a_variable_rate_is_kept(tmp_path: Path) -> None:
    moments = [0, 0.04, 0.2, 0.21, 0.5]
    path = film(tmp_path / "v.mp4", 5, moments)
    with VideoFile(str(path)) as source:
        found = [frame.time for frame in source]
    assert found == pytest.approx(moments, abs=0.001) == times(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_facts_of_the_header(tmp_path: Path, suffix: str) -> None:
    with VideoFile(str(film(tmp_path / f"v{suffix}", 10))) as source:
        assert source.count == 10 and source.fps == pytest.approx(25, rel=0.03)
        assert source.audio_streams == 0
        assert len(list(source)) == 10 and source.problems() == []


def test_sound_is_counted(tmp_path: Path) -> None:
    with VideoFile(
        str(add_sound(write_video(tmp_path / "v.mp4", 5), tmp_path / "loud.mp4"))
    ) as source:
        assert source.audio_streams == 1 and len(list(source)) == 5


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_video_that_is_cut_gives_what_it_has(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"v{suffix}", 60, noise=90)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoFile(str(path)) as source:
        count = len(list(source))
        assert 15 < count < 45
        sentences = " ".join(source.problems())
    assert re.search(rf"\b{count} of (about )?60 frames could be read", sentences)


def test_one_that_is_left_early_is_not_called_cut(tmp_path: Path) -> None:
    with VideoFile(str(film(tmp_path / "v.mp4", 60))) as source:
        frames = iter(source)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        assert source.problems() == []
        source.close()
        assert list(frames) == []  # after closing there are none, and no crash


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return film(tmp_path_factory.mktemp("whole") / "v.mp4", 40, noise=90).read_bytes()


def test_a_damaged_middle_is_counted(whole: bytes, tmp_path: Path) -> None:
    """Bytes within the pictures' data turned to noise: the rest is read, the damage told of."""
    content = bytearray(whole)
    start, end = content.index(b"mdat"), content.index(b"moov")
    middle = start + (end - start) // 2
    content[middle : middle + 400] = np.random.default_rng(1).bytes(400)
    (tmp_path / "v.mp4").write_bytes(content)
    with VideoFile(str(tmp_path / "v.mp4")) as source:
        count = len(list(source))
        assert count >= 30
        assert any("damaged packets or frames" in line for line in source.problems())


@given(cut=st.integers(0, 10_000), flips=st.lists(st.integers(0, 10**9), max_size=30))
def test_no_damage_does_more_than_an_error(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[int]
) -> None:
    content = bytearray(whole[: len(whole) - len(whole) * cut // 10_000])
    for flip in flips:
        if content:
            content[flip // 8 % len(content)] ^= 1 << flip % 8
    path = tmp_path_factory.mktemp("damaged") / "v.mp4"
    path.write_bytes(content)
    try:
        with VideoFile(str(path)) as source:
            shapes = {frame.image.shape[2:] for frame in source}
            assert shapes == {(3,)}
            assert all("\n" not in line for line in source.problems())
    except LcTrtError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_pictures_only_in_sound_files_are_refused(tmp_path: Path) -> None:
    loud = add_sound(write_video(tmp_path / "v.mp4", 2), tmp_path / "loud.mp4")
    import av

    with av.open(str(loud)) as source, av.open(str(tmp_path / "a.m4a"), "w") as target:
        sound = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                target.mux(packet)
    with pytest.raises(LcTrtError, match=r"a\.m4a: cannot be opened \(audio only\)"):
        VideoFile(str(tmp_path / "a.m4a"))
    assert cv2.haveImageReader(str(loud)) is False
