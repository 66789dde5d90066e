"""Every name that exporter, compiler and runtime agree on: inputs, outputs, metadata, operators.

What is called so in an ONNX file is written here and nowhere else. docs/exchange-format.md says
what each tensor holds.
"""

from __future__ import annotations

from enum import IntEnum

# --- operators and versions ----------------------------------------------------------------------

DOMAIN = "lc_trt"  # domain of the region operators; namespace of their TensorRT plugins
VERSION = 1  # of the operators, and of the plugins
PLUGIN_VERSION = str(VERSION)
# Attributes of a node that name its plugin. TensorRT's parser takes a plugin for a function's node
# only where the node has both, and without them the function's body, with no message.
PLUGIN_ATTRIBUTES = {"plugin_version": PLUGIN_VERSION, "plugin_namespace": DOMAIN}
OPSET = 18  # of the standard operators, the smallest that the compiler takes
IR_VERSION = 10

# --- inputs and outputs --------------------------------------------------------------------------

IMAGE = "image"  # uint8 [N, H, W, 3], BGR
RHO = "rho"  # float32 [2], one threshold per boundary; a cascade only
LABELS = "labels"  # uint8 [N, H, W], class index per pixel
STAGES = "stages"  # uint8 [N, h, w], the stage (1, 2, 3) where a pixel left; a cascade only
CONFIDENCE = "confidence"  # float32 [N, h, w], the score where a pixel left (docs/exits.md)

CASCADE_INPUTS, CASCADE_OUTPUTS = (IMAGE, RHO), (LABELS, STAGES, CONFIDENCE)
DENSE_INPUTS, DENSE_OUTPUTS = (IMAGE,), (LABELS, CONFIDENCE)

# Symbolic sizes of these: N, H, W, h and w.
BATCH, HEIGHT, WIDTH = "batch", "height", "width"
FEATURE_HEIGHT, FEATURE_WIDTH = "feature_height", "feature_width"

# --- temporal reuse ------------------------------------------------------------------------------

# State of the frames before, and the same after this one, for the next: features float32
# [N, C, h, w], probabilities float32 [N, K, h, w], stages uint8 [N, h, w].
PAST = ("past_features", "past_probabilities", "past_stages")
PRESENT = ("present_features", "present_probabilities", "present_stages")
LIMITS = "reuse"  # float32 [2]: tolerance, and the share of moved pixels that is a scene cut
WORK = "work"  # uint8 [N, h, w]: see PixelWork

# Defaults (`lc_trt.runtime.temporal_reuse.Reuse`), chosen with tools/bench_reuse.py so that on a
# still and on a moving street video 99 % of the labels are those without reuse.
TOLERANCE = 0.2
CUT = 0.5
EVERY = 100


class PixelWork(IntEnum):
    """Values of the output `WORK`: what was done for a pixel in this frame."""

    LEFT = 0  # it left at stage 1
    COMPUTED = 1  # stages 2 and 3 computed it
    KEPT = 2  # it kept the result of an earlier frame
    CONTEXT = 3  # it kept its result, and was computed because a neighbour reads it


# --- metadata keys of an ONNX file ---------------------------------------------------------------

MODEL_INFO = "lc_trt"  # JSON: `lc_trt.ir.metadata.ModelInfo`
FP32_TENSORS = "lc_trt.fp32"  # JSON: list of the tensors that FP16 and BF16 keep in FP32
