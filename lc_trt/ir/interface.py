"""What the compiler writes into a compiled model and the runtime reads from it, by name."""

from __future__ import annotations

from enum import IntEnum

# Of its metadata, under bf16 and FP16: a JSON list of tensors whose operators compute in FP32.
FULL_TENSORS = "lc_trt.fp32"

# Temporal reuse: names of inputs and outputs, codes of a map.
# What a pass gets of the frames before, and the same after it, for the next frame:
# features float32 [N, C, h, w], probabilities float32 [N, K, h, w], stages uint8 [N, h, w].
PAST = ("past_features", "past_probabilities", "past_stages")
PRESENT = ("present_features", "present_probabilities", "present_stages")
LIMITS = "reuse"  # float32 [2]: tolerance, and the share of moved pixels that is a scene cut
WORK = "work"  # uint8 [N, h, w]: see Work

# Defaults (`lc_trt.runtime.temporal_reuse.Reuse`), chosen with tools/bench_reuse.py so that on a
# still and on a moving street video 99 % of the labels are those without reuse.
TOLERANCE = 0.2
CUT = 0.5
EVERY = 100


class PixelWork(IntEnum):
    """What was done for a pixel in this frame."""

    LEFT = 0  # it left at stage 1
    COMPUTED = 1  # stages 2 and 3 computed it
    KEPT = 2  # it kept the result of an earlier frame
    CONTEXT = 3  # it did so too, but was computed for its neighbours' sake
