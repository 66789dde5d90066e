"""PyAV for input and output: reading, inference and writing overlap, and timestamps are kept.

python pyav_file.py MODEL.lct VIDEO OUT.mp4
"""

import sys
from collections import deque
from collections.abc import Iterator

import av
import numpy as np

import lc_trt


def main(model: str, video: str, out: str) -> None:
    """Write the stage map of each frame of a video."""
    with (
        av.open(video) as source,
        av.open(out, "w") as target,
        lc_trt.load(model) as segmenter,
    ):
        pictures = source.streams.video[0]
        encoder = target.add_stream("libx264", rate=pictures.average_rate)
        encoder.width, encoder.height = pictures.width, pictures.height
        encoder.pix_fmt = "yuv420p"
        encoder.codec_context.time_base = pictures.time_base
        stamps: deque[int | None] = deque()

        def frames() -> Iterator[np.ndarray]:
            for frame in source.decode(pictures):
                stamps.append(frame.pts)
                yield frame.to_ndarray(format="bgr24")

        with segmenter.stream(frames(), rho="fast") as results:
            for result in results:
                drawn = av.VideoFrame.from_ndarray(result.stage_map(), format="bgr24")
                drawn.pts, drawn.time_base = stamps.popleft(), pictures.time_base
                target.mux(encoder.encode(drawn))
        target.mux(encoder.encode(None))


if __name__ == "__main__":
    main(*sys.argv[1:])
