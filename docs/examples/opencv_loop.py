"""Segment a video in an OpenCV loop.

python opencv_loop.py MODEL.lct VIDEO OUT.avi
"""

import sys

import cv2

import lc_trt


def main(model: str, video: str, out: str) -> None:
    """Write the overlay of each frame of a video."""
    capture = cv2.VideoCapture(video)
    writer = None
    with lc_trt.load(model) as segmenter:
        while True:
            success, frame = capture.read()
            if not success:
                break
            result = segmenter(frame)
            picture = result.overlay()
            if writer is None:
                codec = cv2.VideoWriter.fourcc(*"MJPG")
                height, width = picture.shape[:2]
                writer = cv2.VideoWriter(out, codec, capture.get(cv2.CAP_PROP_FPS), (width, height))
            writer.write(picture)
            print(result.shares, result.timing["total"])
    capture.release()
    if writer is not None:
        writer.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
