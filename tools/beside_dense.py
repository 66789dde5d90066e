"""Run a cascade and its dense network on a video, in turns, and draw one beside the other.

    python tools/beside_dense.py BUNDLE VIDEO OUT.mp4

Both see every frame; which goes first alternates, and each timed pass follows an untimed one of the
same engine on the frame before, as in a video. The pictures show the dense network's labels, the
cascade's at its default thresholds, and the exit stage of each pixel, with the median times and the
mean of the equal labels so far, and with the shares that left at each stage of this frame. At the
end, the figures of the whole video.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import lc_trt
from lc_trt.bench.networks import check_runs, dense_networks
from lc_trt.bench.recompile import options_like
from lc_trt.bundle.bundle import SOURCE, read_bundle
from lc_trt.cli import console
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.data.metrics import Shares, mean_shares
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.visualize import Image, legend
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.utils.timing import ratio
from lc_trt.video.base import DEFAULT_FPS, Frame
from lc_trt.video.sinks.base import Sink
from lc_trt.video.sinks.encode import VIDEO_CODECS, VideoSink
from lc_trt.video.sources.open import open_source

GREY, WHITE = (150, 150, 150), (255, 255, 255)


@dataclass
class Comparison:
    """A cascade and its dense network on the same frames.

    Attributes:
        dense_ms: milliseconds of the dense engine per frame.
        cascade_ms: the same of the cascade.
        equal: share of the frame's pixels whose labels are equal, 0 to 1, per frame.
        shares: shares that left at each stage, per frame.
    """

    dense_ms: list[float] = field(default_factory=list)
    cascade_ms: list[float] = field(default_factory=list)
    equal: list[float] = field(default_factory=list)
    shares: list[Shares] = field(default_factory=list)

    def add(self, dense: Result, cascade: Result) -> None:
        """Add the results of a frame.

        Args:
            dense: of the dense network.
            cascade: of the cascade.
        """
        assert cascade.shares is not None, "of a cascade"
        self.dense_ms.append(dense.timing["engine"])
        self.cascade_ms.append(cascade.timing["engine"])
        self.equal.append(float(np.mean(dense.labels == cascade.labels)))
        self.shares.append(cascade.shares)

    def titles(self) -> tuple[str, str]:
        """What to write on the labels of the dense network and of the cascade."""
        return (
            f"dense {np.median(self.dense_ms):.1f} ms",
            f"LC {np.median(self.cascade_ms):.1f} ms, {np.mean(self.equal):.1%} of labels equal",
        )

    def lines(self) -> list[str]:
        """The figures of all frames."""
        dense, cascade = np.median(self.dense_ms), np.median(self.cascade_ms)
        shares = " / ".join(f"{share:.0%}" for share in mean_shares(self.shares))
        return [
            f"dense {dense:.1f} ms, LC {cascade:.1f} ms per frame (medians of {len(self.equal)}): "
            f"LC {ratio(self.dense_ms, self.cascade_ms):.2f}x as fast",
            f"{np.mean(self.equal):.2%} of the labels equal",
            f"left at stage 1, 2, 3: {shares}",
        ]


def draw(dense: Result, cascade: Result, titles: tuple[str, str]) -> Image:
    """The labels of both networks and the exit stages, along the frame's shorter side.

    Args:
        dense: of the dense network.
        cascade: of the cascade, for the same frame.
        titles: as of `Comparison.titles`.

    Returns:
        BGR uint8 [3 * H, W, 3], or [H, 3 * W, 3] of a frame higher than wide.
    """
    pictures = [dense.overlay(legend=False), cascade.overlay(legend=False)]
    for picture, title, colour in zip(pictures, titles, (GREY, WHITE), strict=True):
        legend(picture, [(title, colour)])
    height, width = dense.labels.shape
    axis = 0 if width >= height else 1
    return np.concatenate([*pictures, cascade.stage_map()], axis=axis)


def compare(
    dense: Segmenter,
    cascade: Segmenter,
    frames: Iterable[Frame],
    sink: Sink,
    advance: Callable[[int], None] = lambda more: None,
) -> Comparison:
    """Run and draw all frames.

    Args:
        dense: the dense network.
        cascade: the cascade, at its default thresholds.
        frames: at least one.
        sink: receives the pictures.
        advance: called with 1 after each frame.

    Raises:
        LcTrtError: a frame cannot be read, or the sink not written.
    """
    found = Comparison()
    before = None
    for frame in frames:
        results = {}
        turn = (dense, cascade) if frame.index % 2 else (cascade, dense)
        for segmenter in turn:
            segmenter(frame.image if before is None else before)
            results[segmenter] = segmenter(frame.image)
        before = frame.image
        found.add(results[dense], results[cascade])
        sink.write(draw(results[dense], results[cascade], found.titles()), frame)
        advance(1)
    return found


def open_dense(path: Path, cascade: Segmenter, threads: int | None) -> Segmenter:
    """The dense network of a bundle, compiled in memory from the same weights.

    Args:
        path: the bundle.
        cascade: the same bundle, loaded.
        threads: CPU threads; None for all.

    Raises:
        UsageError: the bundle is a dense network itself.
    """
    manifest = cascade.manifest
    if manifest.kind != "cascade":
        raise UsageError(f"{path}: a dense network, expected a cascade")
    bundle = read_bundle(path)
    device, gpu = check_runs(bundle, None)
    options = options_like(bundle, manifest.size, manifest.batch, device=device, gpu=gpu)
    (network,) = dense_networks(bundle, load_onnx(bundle.file(SOURCE)), options, threads)
    facts = replace(manifest, kind="dense", default_rho=None, fast_rho=None, bound=None)
    return Segmenter(network.load(), facts)


def run(
    bundle: Path,
    video: Path,
    out: Path,
    threads: int | None = None,
    monitor: ProgressMonitor = SILENT,
) -> Comparison:
    """Compare a bundle with its dense network on a video, and write the pictures.

    Args:
        bundle: a cascade.
        video: its frames are the input.
        out: the video to write.
        threads: CPU threads; None for all.
        monitor: shows progress.

    Raises:
        LcTrtError: the bundle or the video cannot be used, or ``out`` not written.
        UsageError: the bundle is dense, or the suffix of ``out`` is no video's.
    """
    if out.suffix.lower() not in VIDEO_CODECS:
        raise UsageError(f"{out}: expected a video ({', '.join(VIDEO_CODECS)})")
    with (
        open_source(str(video)) as source,
        lc_trt.load(bundle, threads=threads) as cascade,
        open_dense(bundle, cascade, threads) as dense,
        monitor.phase("comparing with the dense network", source.count or 0) as advance,
    ):
        sink = VideoSink(out, source.fps or DEFAULT_FPS, scale=False)
        try:
            found = compare(dense, cascade, source, sink, advance)
            sink.finish()
        except BaseException:
            sink.abort()
            raise
    return found


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="of a cascade")
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path, help="video to write")
    parser.add_argument("--threads", type=int, help="CPU threads; all by default")
    given = parser.parse_args()
    try:
        found = run(given.bundle, given.video, given.out, given.threads, console.BarMonitor())
    except LcTrtError as error:
        console.error(str(error))
        return error.exit_code
    console.show(*found.lines(), f"wrote {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
