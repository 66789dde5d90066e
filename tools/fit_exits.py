"""Fit the exit rules of a checkpoint that have parameters, and choose its exit rule.

    python tools/fit_exits.py RUN/best.safetensors --data ROOT -o OUT.safetensors [--rule learned]

The rules are fitted to the network's own disagreement with its last stage on the images of ROOT;
labels are not used. `lc-trt eval OUT.safetensors --exits` then compares all rules. The network
must be a cascade with exact regions, with its final temperatures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lc_trt.errors import LcTrtError

EVERY = 25  # steps between lines of progress


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit and write.

    Args:
        arguments: the command line; None for the process's.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="weights of lc-trt train")
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--rule", help="the network's exit rule from now on; default: its own")
    parser.add_argument(
        "--steps", type=int, default=300, help="batches; 0 fits nothing, to choose a rule only"
    )
    parser.add_argument("--layout", help="of the data set; default: the checkpoint's")
    parser.add_argument("--split", help="of the data set; default: the checkpoint's, for training")
    options = parser.parse_args(arguments)

    from lc_trt.data.classes import find_classes
    from lc_trt.data.datasets import open_dataset
    from lc_trt.training.checkpoint import load_weights
    from lc_trt.training.exit_fit import FitReport, fit_checkpoint

    metadata = load_weights(options.checkpoint)[1]
    data = metadata.get("config", {}).get("data", {})
    samples = open_dataset(
        options.layout or data.get("layout", "folder"),
        options.data,
        options.split or data.get("train", "train"),
        find_classes(metadata.get("classes", "")),
    )

    def show(report: FitReport) -> None:
        if report.step % EVERY == 0 or report.step == report.steps:
            losses = " / ".join(f"{loss:.4f}" for loss in report.losses)
            print(f"{report.step}/{report.steps}: loss at boundaries 1 / 2 {losses}", flush=True)

    fit_checkpoint(
        options.checkpoint,
        options.out,
        samples,
        options.steps,
        rule=options.rule,
        on_step=show,
    )
    print(f"wrote {options.out}")


if __name__ == "__main__":
    try:
        main()
    except LcTrtError as error:
        sys.exit(f"error: {error}")
