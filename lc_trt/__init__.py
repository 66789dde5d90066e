"""Layer Cascade segmentation, from PyTorch to a deployed engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lc_trt.version import __version__

if TYPE_CHECKING:
    from lc_trt.backends.load import load
    from lc_trt.runtime.result import Result
    from lc_trt.runtime.segmenter import Segmenter
    from lc_trt.runtime.source_frame import SourceFrame
    from lc_trt.runtime.temporal_reuse import Reuse

__all__ = ["Result", "Reuse", "Segmenter", "SourceFrame", "__version__", "load"]

_LAZY = {
    "Result": "lc_trt.runtime.result",
    "Reuse": "lc_trt.runtime.temporal_reuse",
    "Segmenter": "lc_trt.runtime.segmenter",
    "SourceFrame": "lc_trt.runtime.source_frame",
    "load": "lc_trt.backends.load",
}


def __getattr__(name: str) -> Any:
    # Lazy imports keep the command line's help fast.
    if name not in _LAZY:
        raise AttributeError(f"module 'lc_trt' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
