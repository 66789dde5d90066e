"""Train the peers of ``lc-trt bench --peers`` and measure their accuracy through an engine.

    python tools/train_peers.py --data CAMVID
    python tools/train_peers.py --data CAMVID --peer pidnet-s --out runs --results benchmarks

For each peer: ``lc-trt train`` with configs/PEER-camvid.yaml (the same command continues a run that
was stopped, and skips one that has finished), export, build, and ``lc-trt eval``, whose result is
written to RESULTS/eval-PEER-camvid.json together with facts of the training, for ``lc-trt bench
--peers``.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from lc_trt.cli.app import main as lc_trt
from lc_trt.cli.option_values import size as parse_size
from lc_trt.data.published import PEERS
from lc_trt.errors import LcTrtError
from lc_trt.evaluation.runner import Options, measure
from lc_trt.training.checkpoint import load_weights
from lc_trt.utils.files import write_json

ROOT = Path(__file__).resolve().parents[1]


def training_facts(config: dict[str, Any]) -> dict[str, Any]:
    """What the accuracy of a network depends on besides the network.

    Args:
        config: the configuration in a checkpoint's metadata.
    """
    return {
        "epochs": sum(phase["epochs"] for phase in config["phases"]),
        "batch": config["batch"],
        "crop": config["augment"]["crop"],
        "pretraining": None if config["init"] is None else Path(config["init"]).name,
    }


def train_and_measure(peer: str, known: argparse.Namespace) -> int:
    """Train, export, build and evaluate one peer; returns the exit code.

    Args:
        peer: its name.
        known: the parsed command line.
    """
    folder = known.out / peer
    best, plain, bundle = (
        folder / name for name in ("best.safetensors", "model.onnx", "model.lct")
    )
    config = known.configs / f"{peer}-camvid.yaml"
    changes = [word for change in known.changes for word in ("--set", change)]
    train = ["train", "--config", config, "--data", known.data, "--out", folder, *changes]
    commands = [
        [*train, "--device", known.device],
        ["export", "--checkpoint", best, "-o", plain],
    ]
    for command in commands:
        if code := lc_trt([str(word) for word in command]):
            return code
    trained = load_weights(best)[1]
    build = ["build", plain, "-o", bundle, "--classes", trained["classes"], "--size", known.size]
    if code := lc_trt([str(word) for word in build]):
        return code
    layout, split = (trained["config"]["data"][key] for key in ("layout", "val"))
    outcome = measure(
        bundle,
        known.data,
        Options(layout=layout, split=split),
        command=f"python tools/train_peers.py --data {shlex.quote(known.data.resolve().name)}",
    )
    result = {**outcome.as_dict(), "training": training_facts(trained["config"])}
    out = known.results / f"eval-{peer}-camvid.json"
    write_json(out, result, option="--results", parents=True)
    print(f"{out}: mIoU {outcome.evaluation.miou:.2%}")
    return 0


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--peer", choices=tuple(PEERS), help="one of them; all by default")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="OUT/PEER has the run")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks")
    parser.add_argument("--configs", type=Path, default=ROOT / "configs")
    parser.add_argument("--size", default="360x480", help="of the engine that is evaluated")
    parser.add_argument("--device", default="auto", help="to train on: auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="FIELD=VALUE",
        help="change a field of the configuration",
    )  # fmt: skip
    known = parser.parse_args()
    try:
        parse_size("--size", known.size)
        for peer in [known.peer] if known.peer else PEERS:
            if code := train_and_measure(peer, known):
                return code
    except LcTrtError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
