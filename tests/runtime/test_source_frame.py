"""Frames with and without a source."""

from __future__ import annotations

import numpy as np
import pytest

from lc_trt.errors import UsageError
from lc_trt.runtime.source_frame import SourceFrame, check_frames
from lc_trt.video.base import Frame

IMAGE = np.zeros((4, 6, 3), np.uint8)


def test_images_and_frames_mix() -> None:
    mirrored = IMAGE[:, ::-1]
    video = Frame(IMAGE, 7, "frame7", 0.5, source=2)
    plain, sourced, of_video = check_frames([mirrored, SourceFrame(IMAGE, source="left"), video])
    assert [f.source for f in (plain, sourced, of_video)] == [None, "left", 2]
    assert plain.image.flags.c_contiguous and of_video.image is IMAGE


@pytest.mark.parametrize("wrap", [lambda image: image, lambda image: SourceFrame(image, source=1)])
def test_what_is_no_image_is_refused(wrap) -> None:
    for image, text in ((None, "cv2.imread"), (IMAGE[..., 0], "convert grey"), ("a", "is a str")):
        with pytest.raises(UsageError, match=text):
            check_frames([wrap(IMAGE), wrap(image)])
