"""Fit the temperatures of a checkpoint to labelled images, and write it with them.

    python tools/fit_temperatures.py RUN/best.safetensors --data ROOT -o OUT.safetensors

`lc-trt train` does the same at the end of a run; this is for weights of a run that goes on, or for
other images. The network must be a cascade with exact regions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lc_trt.errors import LcTrtError


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit and write.

    Args:
        arguments: the command line; None for the process's.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="weights of lc-trt train")
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--layout", help="of the data set; default: the checkpoint's")
    parser.add_argument(
        "--split", help="of the data set; default: the checkpoint's, for validation"
    )
    options = parser.parse_args(arguments)

    from lc_trt.data.classes import find_classes
    from lc_trt.data.datasets import open_dataset
    from lc_trt.training.checkpoint import load_weights
    from lc_trt.training.config import TrainConfig
    from lc_trt.training.temperature import calibrate_checkpoint

    metadata = load_weights(options.checkpoint)[1]
    config = metadata.get("config", {})
    data = config.get("data", {})
    samples = open_dataset(
        options.layout or data.get("layout", "folder"),
        options.data,
        options.split or data.get("val", "val"),
        find_classes(metadata.get("classes", "")),
    )
    rho = config.get("validate_rho", TrainConfig.model_fields["validate_rho"].default)
    calibration, validation = calibrate_checkpoint(options.checkpoint, [options.out], samples, rho)
    print(calibration)
    shares = " / ".join(f"{100 * share:.1f}" for share in validation.shares)
    print(f"at rho {rho}: mIoU {100 * validation.miou:.2f} %, {shares} % left at stages 1 / 2 / 3")


if __name__ == "__main__":
    try:
        main()
    except LcTrtError as error:
        sys.exit(f"error: {error}")
