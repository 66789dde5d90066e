"""Check the promise of `lc-trt tune --max-changed` on a bundle and images.

    python tools/check_bound.py model.lct --images photos/ --max-changed 3 [--confidence 0.95]

The candidates are chosen on a few images, as by `lc-trt tune`, and all others run once at each.
Then, many times, thresholds are chosen on a random half of these, and the labels that change are
counted on the other half. By conformal risk control, the mean over the redraws is at most the
limit. The form with confidence is about independent draws from a population: here as many images
as a half has, drawn with replacement, with all images as the population. Exits with 1 if the
promise does not hold, beyond three standard errors of the redraws.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.backends.load import load
from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.cli.option_groups.exit_limit import ExitLimit
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.exit_bound import LIMIT, Options, choose_path, open_losses
from lc_trt.evaluation.risk_control import LearnThenTest, RiskControl, running_maximum
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import check_file, write_json

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Redraws:
    """What became of the thresholds that were chosen in each redraw.

    Attributes:
        points: index of the chosen point of the path, int64 [redraws]; the last one is no early
            exit.
        losses: share of labels changed there on the images that decide, float64 [redraws].
    """

    points: npt.NDArray[np.int64]
    losses: Floats

    def summary(self, losses: Floats, limit: float) -> dict[str, Any]:
        """The redraws in numbers.

        Args:
            losses: float64 [n, points], of all images.
            limit: largest mean loss that was promised, 0 to 1.
        """
        return {
            "mean_loss": float(self.losses.mean()),
            "standard_error": float(self.losses.std() / math.sqrt(len(self.losses))),
            "held": float((self.losses <= limit).mean()),
            "without_exits": float((self.points == losses.shape[1] - 1).mean()),
        }


def halves(losses: Floats, control: RiskControl, redraws: int, seed: int = 0) -> Redraws:
    """Choose on a random half of the images, and measure on the other.

    Args:
        losses: float64 [n, points], 0 to 1.
        control: limit and form of the bound, feasible for half of the images.
        redraws: number of divisions.
        seed: of the divisions.
    """
    rng = np.random.default_rng(seed)
    points, found = [], []
    for _ in range(redraws):
        shuffled = rng.permutation(losses)
        first, second = np.split(shuffled, [len(losses) // 2])
        points.append(_choose(first, control))
        found.append(second[:, points[-1]].mean())
    return Redraws(np.array(points), np.array(found))


def draws(losses: Floats, control: RiskControl, redraws: int, seed: int = 0) -> Redraws:
    """Choose on half as many images, drawn with replacement, and measure on all of them.

    Args:
        losses: as of `halves`, like the next three.
        control: limit and form of the bound.
        redraws: number of draws.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    means = losses.mean(axis=0)
    samples = rng.integers(0, len(losses), (redraws, len(losses) // 2))
    points = np.array([_choose(losses[sample], control) for sample in samples])
    return Redraws(points, means[points])


def holds(control: RiskControl, divided: dict[str, Any], drawn: dict[str, Any]) -> bool:
    """Whether the promise holds, up to three standard errors of the redraws.

    Args:
        control: limit and form of the bound.
        divided: `Redraws.summary` of `halves`.
        drawn: likewise of `draws`, with the number of ``redraws``.
    """
    if isinstance(control, LearnThenTest):
        error = math.sqrt(control.confidence * (1 - control.confidence) / drawn["redraws"])
        return bool(drawn["held"] >= control.confidence - 3 * error)
    return bool(divided["mean_loss"] <= control.alpha + 3 * divided["standard_error"])


def _choose(losses: Floats, control: RiskControl) -> int:
    point = control.choose(running_maximum(losses))
    assert point is not None, "the last point has no loss, and the images are enough for it"
    return point


def run(given: argparse.Namespace) -> int:
    """Measure, redraw and report; returns the exit code."""
    control = ExitLimit(given.max_changed, given.confidence).control(labelled=False)
    assert control is not None
    if given.redraws < 2:
        raise UsageError(f"--redraws {given.redraws}: expected at least 2")
    if given.json is not None:
        check_file(given.json, "choose another file", option="--json")
    options = Options(control, limit=given.limit, grid=given.grid, threads=given.threads)
    monitor = console.BarMonitor()
    with load(given.model, threads=given.threads) as segmenter:
        if segmenter.engine.kind != "cascade":
            raise UsageError(f"{given.model}: a dense network has no thresholds to check")
        source = open_losses(given.images, options, len(segmenter.manifest.classes))
        half = source.count() // 2
        fewest = control.fewest_images()
        if fewest is None or half < fewest:
            raise LcTrtError(
                f"{given.images}: {half} images in a half are too few for the limit; expected "
                f"{fewest or 'over a million'}, besides {source.path_images} for the candidates"
            )
        path = choose_path(segmenter, source, options, half, monitor)
        measured = source.measure_losses(segmenter, path.rhos, monitor)
    results = {}
    for name, redraw in (("halves", halves), ("draws", draws)):
        found = redraw(measured.losses, control, given.redraws, given.seed)
        results[name] = found.summary(measured.losses, control.alpha)
        results[name]["redraws"] = given.redraws
    held = holds(control, results["halves"], results["draws"])
    result = {
        "max_changed": given.max_changed,
        "confidence": given.confidence,
        "images": measured.images,
        "chosen_on": half,
        "path_images": source.path_images,
        "path": [list(rho) for rho in path.rhos],
        "loss": running_maximum(measured.losses).mean(axis=0).round(6).tolist(),
        "shares": [[round(share, 4) for share in shares] for shares in measured.shares],
        **results,
        "holds": held,
        "origin": source.origin,
        "images_sha256": source.digest,
        "environment": describe_environment(given.threads),
        "command": command_line("python tools/check_bound.py", sys.argv[1:]),
    }
    if given.json is not None:
        write_json(given.json, result, option="--json")
    for name, what in (
        ("halves", f"chosen on {half} images, measured on the other {measured.images - half}"),
        ("draws", f"chosen on {half} images with replacement, measured on {measured.images}"),
    ):
        numbers = results[name]
        print(
            f"{what}, {given.redraws} times: {100 * numbers['mean_loss']:.3f} % of labels changed "
            f"on average, at most {given.max_changed:g} % in {numbers['held']:.1%}, without exits "
            f"in {numbers['without_exits']:.1%}"
        )
    print("the promise holds" if held else "the promise does not hold")
    return int(not held)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("model", type=Path, help="bundle of a cascade")
    parser.add_argument("--images", type=Path, required=True, help="folder of images or videos")
    parser.add_argument("--max-changed", type=float, required=True, metavar="PERCENT")
    parser.add_argument("--confidence", type=float, help="with it, learn then test")
    parser.add_argument("--redraws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=LIMIT, help="images, evenly spread")
    parser.add_argument("--grid", type=int, default=7, help="thresholds per boundary")
    parser.add_argument("--threads", type=int, help="CPU threads; all by default")
    parser.add_argument("--json", type=Path, help="also write the result to a file")
    try:
        return run(parser.parse_args())
    except LcTrtError as error:
        console.error(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
