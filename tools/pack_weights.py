"""Pack the weights of a run for models/: large tensors in FP16, metadata without local paths.

    python tools/pack_weights.py RUN/best.safetensors models/NAME/weights.safetensors

`lc-trt train --init` and `lc-trt export --checkpoint` accept the result like the original.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from lc_trt.compiler.passes.fp16_weights import SMALLEST
from lc_trt.errors import LcTrtError
from lc_trt.training.checkpoint import load_weights, save_tensors
from lc_trt.training.export import public_metadata


def pack(source: Path, out: Path) -> None:
    """Write the weights of ``source`` to ``out``; small tensors (batch norm) stay in FP32."""
    state, facts = load_weights(source)
    packed = {}
    for name, tensor in state.items():
        half = tensor.half() if tensor.numel() >= SMALLEST else tensor
        if not torch.isfinite(half).all():
            raise LcTrtError(f"{source}: {name!r} does not fit FP16")
        packed[name] = half
    save_tensors(out, packed, public_metadata(facts) or {})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python tools/pack_weights.py RUN/best.safetensors OUT.safetensors")
    try:
        pack(Path(sys.argv[1]), Path(sys.argv[2]))
    except LcTrtError as error:
        sys.exit(f"error: {error}")
