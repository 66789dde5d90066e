"""Send thousands of frames through a segmenter's stream and watch the memory.

    python tools/soak_video.py MODEL.lct VIDEO [--frames 10000]

The video goes round and round, with other thresholds every frame, so that the regions keep
changing. Prints JSON, and exits with 1 where memory grew by 2 % or more after the first tenth, or a
thread stayed behind.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from time import perf_counter

import lc_trt
from lc_trt.bench.memory import resident_mb
from lc_trt.video.frames import Image
from lc_trt.video.sources import open_source

MOST_GROWTH = 0.02


def endless(video: str) -> Iterator[Image]:
    """The frames of a video, again and again; it is opened anew each time."""
    while True:
        with open_source(video) as source:
            yield from (frame.image for frame in source)


def soak(model: str, video: str, count: int) -> dict[str, float]:
    """Run so many frames, drawing each; memory is in MiB."""
    warm = max(1, count // 10)
    before = threading.active_count()
    with lc_trt.load(model) as segmenter:
        start, done, after_warmup = perf_counter(), 0, 0.0
        rhos = [None] if segmenter.engine.kind == "dense" else [(r / 8, r / 9) for r in range(9)]
        while done < count:
            # A stream has one pair of thresholds: many short ones try their start and end too.
            frames = islice(endless(video), min(100, count - done))
            with segmenter.stream(frames, rhos[done // 100 % len(rhos)]) as results:
                for result in results:
                    result.overlay()
                    done += 1
                    if done == warm:
                        gc.collect()
                        after_warmup = resident_mb()
        seconds = perf_counter() - start
        gc.collect()
        end = resident_mb()
    return {
        "frames": done,
        "fps": round(done / seconds, 1),
        "after_warmup_mb": round(after_warmup, 1),
        "end_mb": round(end, 1),
        "growth": round(end / after_warmup - 1, 4),
        "threads_left": threading.active_count() - before,
    }


def main() -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("--frames", type=int, default=10_000)
    options = parser.parse_args()
    found = soak(options.model, options.video, options.frames)
    print(json.dumps(found, indent=2))
    return int(found["growth"] >= MOST_GROWTH or found["threads_left"] > 0)


if __name__ == "__main__":
    sys.exit(main())
