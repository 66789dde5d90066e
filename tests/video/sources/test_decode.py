"""Decoding gives upright frames with time stamps, and counts damage."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_videos import add_sound, film, quarters, read_video, times, write_video

from lc_trt.errors import LcTrtError
from lc_trt.video.sources.video_file import VideoFile


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_videos_are_decoded_upright(tmp_path: Path, degrees: int) -> None:
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


def test_a_variable_frame_rate_is_decoded(tmp_path: Path) -> None:
    moments = [0, 0.04, 0.2, 0.21, 0.5]
    path = film(tmp_path / "v.mp4", 5, moments)
    with VideoFile(str(path)) as source:
        found = [frame.time for frame in source]
    assert found == pytest.approx(moments, abs=0.001) == times(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return film(tmp_path_factory.mktemp("whole") / "v.mp4", 40, noise=90).read_bytes()


def test_damaged_frames_are_counted(whole: bytes, tmp_path: Path) -> None:
    """Noise in the picture data: the rest is decoded, the damage reported."""
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
def test_any_damage_is_at_worst_an_error(
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


def test_cover_art_of_audio_files_is_no_video(tmp_path: Path) -> None:
    loud = add_sound(write_video(tmp_path / "v.mp4", 2), tmp_path / "loud.mp4")
    with av.open(str(loud)) as source, av.open(str(tmp_path / "a.m4a"), "w") as target:
        sound = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = sound
                target.mux(packet)
    with pytest.raises(LcTrtError, match=r"a\.m4a: cannot be opened \(audio only\)"):
        VideoFile(str(tmp_path / "a.m4a"))
    assert cv2.haveImageReader(str(loud)) is False
