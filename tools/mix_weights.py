"""Mix the weights of two training runs of one network (M. Wortsman et al., 2022, WiSE-FT).

    python tools/mix_weights.py BEFORE.safetensors AFTER.safetensors --part 0.75 OUT.safetensors

What a run was fine-tuned to lies in its weights beside those it began with; on the line between
the two lie networks that know something of both. Every number is ``(1 - part) * before + part *
after``, batch norm's statistics among them. The facts are those of AFTER, less what was measured of
it, which is not true of the mix.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.training.checkpoint import load_weights, save_tensors


def mix(before: Path, after: Path, part: float, out: Path) -> None:
    """Write the weights that lie ``part`` of the way from ``before`` to ``after``.

    Raises:
        UsageError: ``part`` is not between 0 and 1.
        LcTrtError: the files hold tensors of other names or shapes.
    """
    if not 0 <= part <= 1:
        raise UsageError(f"--part {part:g}: expected a number from 0 to 1")
    (first, _), (second, facts) = load_weights(before), load_weights(after)
    shapes = [{name: tuple(t.shape) for name, t in each.items()} for each in (first, second)]
    if shapes[0] != shapes[1]:
        name = min(shapes[0].items() ^ shapes[1].items())[0]
        raise LcTrtError(
            f"{after}: {name!r} is not as in {before}; expected two runs of one network"
        )
    mixed = {}
    for name, value in second.items():
        mixed[name] = value
        if value.is_floating_point():
            mixed[name] = (1 - part) * first[name].float() + part * value.float()
    kept = {k: v for k, v in facts.items() if k not in ("phase", "step") and k[:4] != "val_"}
    save_tensors(out, mixed, {**kept, "mixed": part})


def main() -> int:
    """Mix; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", type=float, default=0.5, help="of AFTER, 0 to 1")
    known = parser.parse_args()
    try:
        mix(known.before, known.after, known.part, known.out)
    except LcTrtError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
