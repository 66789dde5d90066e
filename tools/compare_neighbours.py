"""Compare what a cascade loses where neighbours outside a region read 0, stand-ins, or the truth.

    python tools/compare_neighbours.py CHECKPOINT... --data CAMVID [--images N]
        [--rho 0.99,0.95,0.9,0.8,0.7] [--fit-images 32] [--out benchmarks/neighbours.json]

Runs in PyTorch, on the val split at its native size, both thresholds alike. *Changed* is the share
of labels that differ from those of the same network without exits. A checkpoint whose
configuration asked for zeros or stand-ins has that form only. The others run in all three, though
they were trained in one:

- exact: cells that go on get the whole network's logits;
- zeros: region convolution as published;
- stand_in: a region convolution of more than one pixel reads, outside the region, a 1x1
  convolution of stage 1's dense features, fitted by ridge regression to what it reads without
  exits, on images of the train split (`lc_trt.model.stand_in`).

Writes OUT and, beside it, the table as Markdown, after every checkpoint. All of CamVid val takes
about four minutes with irnet-small on two cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.data.classes import find_classes
from lc_trt.data.metrics import Confusion, Labels
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.data import open_samples
from lc_trt.model.cascade import Cascade
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.layers import Upsample
from lc_trt.model.neighbour_forms import FORMS, EncoderForms, NeighbourForms, PublishedForms
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec
from lc_trt.model.stand_in import stand_in_names
from lc_trt.training.checkpoint import load_into, load_weights
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import atomic_write, check_file, write_json

RHO = "0.99,0.95,0.9,0.8,0.7"
TITLES = {Neighbours.ZEROS: "zeros", Neighbours.STAND_IN: "stand-ins", Neighbours.EXACT: "exact"}


@dataclass(frozen=True)
class Row:
    """What exits do at a threshold; shares and accuracies from 0 to 1.

    Attributes:
        form: what neighbours outside the region read.
        rho: threshold of both boundaries.
        reached: shares of the cells that reach stages 2 and 3.
        changed: share of labels that differ from those without exits.
        miou: mean IoU.
        miou_change: from that without exits.
    """

    form: Neighbours
    rho: float
    reached: tuple[float, float]
    changed: float
    miou: float
    miou_change: float


class Tally:
    """Sums over images, of one form and threshold.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.confusion = Confusion(classes)
        self.reached: list[list[float]] = []
        self.changed: list[float] = []

    def add(self, labels: Labels, whole: Labels, label: Labels, stages: Tensor) -> None:
        """Add an image: its labels, those without exits, the true ones, and the exit stages."""
        self.confusion.add(labels, label)
        self.changed.append(float((labels != whole).mean()))
        self.reached.append([float((stages >= s).float().mean()) for s in (2, 3)])

    def row(self, form: Neighbours, rho: float, miou: float) -> Row:
        """The means; ``miou`` is that without exits."""
        second, third = (round(float(share), 5) for share in np.mean(self.reached, 0))
        changed, found = float(np.mean(self.changed)), self.confusion.miou()
        return Row(
            form, rho, (second, third), round(changed, 6), round(found, 5), round(found - miou, 5)
        )


def main() -> int:
    """Compare and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--data", type=Path, required=True, help="train/ and val/ with labels")
    parser.add_argument("--images", type=int, default=None, help="of val, default all")
    parser.add_argument("--rho", default=RHO)
    parser.add_argument("--fit-images", type=int, default=32, help="of train, for the stand-ins")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/neighbours.json"))
    known = parser.parse_args()
    check_file(known.out, "choose another --out", option="--out", parents=True)
    torch.set_flush_denormal(True)
    record: dict[str, Any] = {
        "data": f"{known.data.name} val",
        "images": known.images or "all",
        "fit_images": known.fit_images,
        "networks": [],
        "torch": torch.__version__,
        "environment": describe_environment(None),
        "command": command_line("python tools/compare_neighbours.py", sys.argv[1:]),
    }
    table = ""
    for path in known.checkpoints:
        record["networks"].append(compare(path, known))
        write_json(known.out, record, option="--out", parents=True)
        table = markdown(record["networks"])
        atomic_write(known.out.with_suffix(".md"), table.encode(), "choose another --out")
    print(table, end="")
    return 0


@torch.inference_mode()
def compare(path: Path, known: argparse.Namespace) -> dict[str, Any]:
    """Compare the forms of a checkpoint.

    Args:
        path: weights written by ``lc-trt train``.
        known: the options.

    Returns:
        Its name, the form that it was trained in, mIoU without exits, how much of the variance the
        stand-ins explain, and a `Row` per form and threshold.

    Raises:
        LcTrtError: unreadable weights or data.
        UsageError: weights of a network without exits.
    """
    started = time.monotonic()
    metadata = load_weights(path)[1]
    if "classes" not in metadata:
        raise LcTrtError(f"{path}: names no network; expected weights written by 'lc-trt train'")
    classes, spec = find_classes(metadata["classes"]), NetworkSpec.from_metadata(metadata)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in spec.normalisation)

    def prepare(image: np.ndarray) -> Tensor:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        return ((x - mean) / std).contiguous(memory_format=torch.channels_last)

    name, bars = path.parent.name, console.BarMonitor()
    train = open_samples("folder", known.data, "train", classes, known.fit_images)
    val = open_samples("folder", known.data, "val", classes, known.images)
    fitting = (prepare(sample.image) for sample in bars.track(f"{name}: stand-ins", train))
    forms = open_forms(path, spec, len(classes), fitting)
    inputs = ((prepare(sample.image), sample.label) for sample in bars.track(name, val))
    miou, rows = measure(forms, inputs, len(classes), [float(r) for r in known.rho.split(",")])
    return {
        "network": name,
        "trained_with": str(forms.trained_with),
        "miou": round(miou, 5),
        "explained": [round(share, 4) for share in forms.explained],
        "rows": [asdict(row) for row in rows],
        "seconds": round(time.monotonic() - started, 1),
    }


def open_forms(
    path: Path, spec: NetworkSpec, classes: int, fitting: Iterable[Tensor]
) -> NeighbourForms:
    """Load a checkpoint in its forms.

    Args:
        path: the weights.
        spec: of their network.
        classes: number of classes.
        fitting: normalised images to fit stand-ins to.
    """

    def network(form: Neighbours) -> torch.nn.Module:
        model = replace(spec, neighbours=form).build(classes)
        load_into(model, path, stand_in_names(model) if form is not spec.neighbours else ())
        return model.eval().to(memory_format=torch.channels_last)

    if not spec.encoder:
        cascade = network(spec.neighbours)
        if not isinstance(cascade, Cascade):
            raise UsageError(f"{path}: {spec.name} has no exits; expected weights of a cascade")
        return PublishedForms(cascade, fitting)
    retrained = spec.neighbours is not Neighbours.EXACT
    networks = {form: network(form) for form in ((spec.neighbours,) if retrained else FORMS)}
    assert all(isinstance(model, EncoderCascade) for model in networks.values())
    return EncoderForms(networks, spec.neighbours, None if retrained else fitting)


def measure(
    forms: NeighbourForms,
    inputs: Iterable[tuple[Tensor, Labels]],
    classes: int,
    rhos: Sequence[float],
) -> tuple[float, list[Row]]:
    """Run all forms at all thresholds on the same images.

    Args:
        forms: of the network.
        inputs: normalised images, float [1, 3, H, W], and their labels, uint8 [H, W].
        classes: number of classes.
        rhos: thresholds.

    Returns:
        mIoU without exits, and the rows.
    """
    tallies = {(form, rho): Tally(classes) for form in forms.forms for rho in rhos}
    without = Confusion(classes)
    upsample = Upsample(forms.network.strides[-1])

    def labels(probabilities: Tensor, label: Labels) -> Labels:
        return upsample(probabilities, label.shape).argmax(1)[0].numpy().astype(np.uint8)

    for x, label in inputs:
        image = forms.open(x)
        whole = labels(forms.whole(image), label)
        without.add(whole, label)
        for (form, rho), tally in tallies.items():
            merged, stages = forms.run(image, form, (rho, rho))
            tally.add(labels(merged, label), whole, label, stages)
    miou = without.miou()
    return miou, [tally.row(form, rho, miou) for (form, rho), tally in tallies.items()]


def markdown(networks: Sequence[dict[str, Any]]) -> str:
    """One table of all networks: a row per threshold, three columns per form."""
    return "".join("| " + " | ".join(cells) + " |\n" for cells in _table(networks))


def _table(networks: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    figures = ("reach 3", "changed", "mIoU")
    columns = [f"{TITLES[form]}: {figure}" for form in FORMS for figure in figures]
    head = ["network (trained with): mIoU", "rho", "reach 2", *columns]
    yield head
    yield ["---"] * len(head)
    for network in networks:
        title = TITLES[Neighbours(network["trained_with"])]
        name = f"{network['network']} ({title}): {network['miou']:.1%}"
        found = {(row["form"], row["rho"]): row for row in network["rows"]}
        for rho in dict.fromkeys(row["rho"] for row in network["rows"]):
            rows = [found.get((form, rho)) for form in FORMS]
            reached = next(row["reached"] for row in rows if row)
            cells = [name, f"{rho:g}", f"{reached[0]:.1%}"]
            for row in rows:
                cells += ["", "", ""] if row is None else [
                    f"{row['reached'][1]:.1%}",
                    f"{row['changed']:.2%}",
                    f"{100 * row['miou_change']:+.2f}",
                ]  # fmt: skip
            yield cells


if __name__ == "__main__":
    sys.exit(main())
