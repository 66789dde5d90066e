"""A GStreamer element that draws the segmentation of lc-trt over each frame.

    export GST_PLUGIN_PATH=docs/examples/gstreamer
    gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! videoconvert \
        ! lctrt model=model.lct view=overlay ! videoconvert ! autovideosink

Debian: apt install gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-python3-plugin-loader
python3-gst-1.0. The loader runs the system's Python. If lc-trt is installed in a virtual
environment of the same Python version, add its site-packages to PYTHONPATH and do not activate it.
"""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstBase", "1.0")
gi.require_version("GstVideo", "1.0")

import numpy as np  # noqa: E402
from gi.repository import GLib, GObject, Gst, GstBase, GstVideo  # noqa: E402

import lc_trt  # noqa: E402
from lc_trt.errors import LcTrtError  # noqa: E402

Gst.init(None)
CAPS = Gst.Caps.from_string("video/x-raw,format=BGR")
VIEWS = ("overlay", "mask", "stages")  # those of the frame's size


class LcTrt(GstBase.BaseTransform):
    """BGR in, BGR out, in place."""

    __gstmetadata__ = (
        "Layer Cascade segmentation",
        "Filter/Effect/Video",
        "Draws the classes or exit stages of each frame",
        "lc-trt",
    )
    __gsttemplates__ = (
        Gst.PadTemplate.new("src", Gst.PadDirection.SRC, Gst.PadPresence.ALWAYS, CAPS),
        Gst.PadTemplate.new("sink", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, CAPS),
    )

    model = GObject.Property(type=str, nick="Model", blurb="Bundle of lc-trt build")
    view = GObject.Property(
        type=str, nick="View", blurb="overlay, mask or stages", default="overlay"
    )
    fast = GObject.Property(type=bool, nick="Fast", blurb="Use the fast thresholds", default=False)

    def do_start(self) -> bool:
        """Load the model."""
        if self.view not in VIEWS:
            return self.fail(f"view {self.view}: expected {', '.join(VIEWS)}")
        try:
            self.segmenter = lc_trt.load(self.model or "")
        except LcTrtError as error:
            return self.fail(str(error))
        return True

    def fail(self, text: str) -> bool:
        """Post an error, which stops the pipeline."""
        error = GLib.Error.new_literal(Gst.stream_error_quark(), text, Gst.StreamError.FAILED)
        self.post_message(Gst.Message.new_error(self, error, ""))
        return False

    def do_stop(self) -> bool:
        """Release the model."""
        self.segmenter.close()
        return True

    def do_set_caps(self, incaps: Gst.Caps, outcaps: Gst.Caps) -> bool:
        """Store the frame size and the row stride in bytes, which GStreamer rounds up."""
        info = GstVideo.VideoInfo.new_from_caps(incaps)
        self.size = (info.height, info.width)
        self.stride = info.stride[0]
        return True

    def do_transform_ip(self, buffer: Gst.Buffer) -> Gst.FlowReturn:
        """Draw into one frame."""
        height, width = self.size
        mapped, memory = buffer.map(Gst.MapFlags.READ | Gst.MapFlags.WRITE)
        if not mapped:
            return Gst.FlowReturn.ERROR
        try:
            rows = np.ndarray(
                (height, width, 3), np.uint8, memory.data, strides=(self.stride, 3, 1)
            )
            result = self.segmenter(rows.copy(), "fast" if self.fast else None)
            rows[:] = result.view(self.view)
        except LcTrtError as error:  # for example, stages of a dense network
            # Only logged: gst-launch hangs after an error message from this thread.
            Gst.error(f"lctrt: {error}")
            return Gst.FlowReturn.ERROR
        finally:
            buffer.unmap(memory)
        return Gst.FlowReturn.OK


GObject.type_register(LcTrt)
__gstelementfactory__ = ("lctrt", Gst.Rank.NONE, LcTrt)
