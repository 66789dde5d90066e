"""Interpolate between the weights of two training runs (WiSE-FT, M. Wortsman et al., 2022).

    python tools/mix_weights.py BEFORE.safetensors AFTER.safetensors --part 0.75 OUT.safetensors

Interpolating between the weights before and after fine-tuning trades the accuracy of one for that
of the other. Every value is ``(1 - part) * before + part * after``, including batch-norm
statistics. The metadata is that of AFTER without its validation results, which do not apply to the
mix.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.training.checkpoint import load_weights, save_tensors


def mix(before: Path, after: Path, part: float, out: Path) -> None:
    """Write interpolated weights.

    Args:
        before: weights of weight ``1 - part``.
        after: weights of weight ``part``.
        part: 0 to 1.
        out: file to write.

    Raises:
        UsageError: ``part`` is not between 0 and 1.
        LcTrtError: names or shapes of tensors differ between the files.
    """
    if not 0 <= part <= 1:
        raise UsageError(f"--part {part:g}: expected a number from 0 to 1")
    (first, _), (second, metadata) = load_weights(before), load_weights(after)
    shapes = [{name: tuple(t.shape) for name, t in each.items()} for each in (first, second)]
    if shapes[0] != shapes[1]:
        name = min(shapes[0].items() ^ shapes[1].items())[0]
        raise LcTrtError(
            f"{after}: {name!r} differs from {before}; expected two runs of the same network"
        )
    mixed = {}
    for name, value in second.items():
        mixed[name] = value
        if value.is_floating_point():
            mixed[name] = (1 - part) * first[name].float() + part * value.float()
    remaining = {
        k: v for k, v in metadata.items() if k not in ("phase", "step") and k[:4] != "val_"
    }
    save_tensors(out, mixed, {**remaining, "mixed": part})


def main() -> int:
    """Parse the command line and mix; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", type=float, default=0.5, help="share of AFTER, 0 to 1")
    known = parser.parse_args()
    try:
        mix(known.before, known.after, known.part, known.out)
    except LcTrtError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
