"""A cascade beside its dense network on a video."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from fake_engine import FakeEngine, numbered_frames, random_levels
from tiny_networks import INFO, frames, tiny_encoder_model
from toy_models import toy_bundle, toy_manifest
from toy_videos import read_video

from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.builder.verify import VerifyOptions
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.video.base import Frame
from lc_trt.video.sinks.base import Sink
from lc_trt.video.sinks.encode import VideoSink
from tools import beside_dense
from tools.beside_dense import Comparison


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    sink = VideoSink(path, 25, scale=False)
    for i, image in enumerate(frames(4, INFO.size)):
        sink.write(image, Frame.of_video(image, i, i / 25))
    sink.finish()
    return path


def bundle(folder: Path, rho: tuple[float, float]) -> Path:
    onnx.save(tiny_encoder_model(), folder / "tiny.onnx")
    options = compile_options("onnxruntime", size=INFO.size)
    build(
        folder / "tiny.onnx", folder / "tiny.lct", options,
        rho=rho, fast_rho=rho, verify=VerifyOptions(must_agree=False),
    )  # fmt: skip
    return folder / "tiny.lct"


def test_without_exits_all_labels_are_the_dense_networks(tmp_path: Path, video: Path) -> None:
    found = beside_dense.run(bundle(tmp_path, (1.0, 1.0)), video, tmp_path / "out.mp4", 1)
    assert found.equal == [1.0] * 4
    assert found.shares == [(0.0, 0.0, 1.0)] * 4
    assert min(found.dense_ms + found.cascade_ms) > 0
    pictures = read_video(tmp_path / "out.mp4")
    assert len(pictures) == 4
    height, width = INFO.size
    assert pictures[0].shape[:2] == (3 * height, width)


def test_labels_that_exits_change_are_counted(tmp_path: Path, video: Path) -> None:
    found = beside_dense.run(bundle(tmp_path, (0.0, 0.0)), video, tmp_path / "out.mp4", 1)
    assert found.shares == [(1.0, 0.0, 0.0)] * 4
    assert 0 < np.mean(found.equal) < 1
    assert found.lines()[2] == "left at stage 1, 2, 3: 100% / 0% / 0%"


def test_the_figures_are_those_of_the_frames() -> None:
    found = Comparison(
        dense_ms=[10.0, 30.0, 20.0],
        cascade_ms=[5.0, 10.0, 20.0],
        equal=[1.0, 0.99, 0.98],
        shares=[(0.5, 0.25, 0.25), (0.7, 0.15, 0.15), (0.6, 0.2, 0.2)],
    )
    assert found.titles() == ("dense 20.0 ms", "LC 10.0 ms, 99.0% of labels equal")
    assert found.lines() == [
        # The median of the ratios of each frame, 2, 3 and 1.
        "dense 20.0 ms, LC 10.0 ms per frame (medians of 3): LC 2.00x as fast",
        "99.00% of the labels equal",
        "left at stage 1, 2, 3: 60% / 20% / 20%",
    ]


class Pictures(Sink):
    """Keeps what it gets."""

    path = None

    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []

    def write(self, picture: np.ndarray, frame: Frame) -> None:
        self.pictures.append(picture)

    def finish(self) -> None: ...

    def abort(self) -> None: ...


def test_each_timed_pass_follows_one_of_the_same_engine_and_the_first_alternates() -> None:
    dense, cascade = FakeEngine(None), FakeEngine([0.5 + levels / 2 for levels in random_levels(3)])
    dense.passes = cascade.passes
    size = (16, 24)
    both = (
        Segmenter(dense, toy_manifest("dense", size)),
        Segmenter(cascade, toy_manifest("cascade", size)),
    )
    images = [image[0] for image in numbered_frames(3)]
    sink = Pictures()
    beside_dense.compare(*both, [Frame(im, i, "f", i / 25) for i, im in enumerate(images)], sink)
    order = [(number, "dense" if rho is None else "LC") for number, rho in cascade.passes]
    assert order == [
        (0, "LC"), (0, "LC"), (0, "dense"), (0, "dense"),
        (0, "dense"), (1, "dense"), (0, "LC"), (1, "LC"),
        (1, "LC"), (2, "LC"), (1, "dense"), (2, "dense"),
    ]  # fmt: skip
    assert [picture.shape for picture in sink.pictures] == [(3 * 16, 24, 3)] * 3


def call(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["beside", *map(str, words), "--threads", "1"])
    return beside_dense.main()


def test_errors_are_one_line_and_leave_no_file(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dense = toy_bundle(tmp_path / "dense.lct", "dense", backend="onnxruntime").path
    for words, code, message in (
        ((dense, video, tmp_path / "o.mp4"), 2, "dense.lct: a dense network, expected a cascade"),
        ((dense, video, tmp_path / "o.png"), 2, "o.png: expected a video"),
        ((tmp_path / "none.lct", video, tmp_path / "o.mp4"), 1, "none.lct: no such bundle"),
        ((dense, tmp_path / "none.mp4", tmp_path / "o.mp4"), 1, "none.mp4: no such file"),
    ):
        assert call(monkeypatch, *words) == code
        err = capsys.readouterr().err
        assert err.startswith("error: ") and message in err and err.count("\n") == 1
    assert list(tmp_path.glob("*o.*")) == []


def test_the_command_prints_the_figures(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    assert call(monkeypatch, bundle(tmp_path, (1.0, 1.0)), video, out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("dense ") and "medians of 4" in lines[0]
    assert lines[1:] == [
        "100.00% of the labels equal",
        "left at stage 1, 2, 3: 0% / 0% / 100%",
        f"wrote {out}",
    ]
