"""Which layers to keep out of INT8 so that accuracy holds: mIoU on labelled images, bisection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from lc_trt.compiler.passes.quantization_plan import QuantizationPlan
from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import evaluate_samples
from lc_trt.runtime.engines import Engine
from lc_trt.runtime.resize import labels_to_size, to_size

GROUPS = 32  # at most; neighbours are joined in a network of more


def layer_groups(plan: QuantizationPlan) -> dict[str, frozenset[str]]:
    """Convolutions by block, in the order of the graph: ``stage2/4``, ``head1/0``, ...

    A block is the first two parts of a layer's path. Of a network with more than ``GROUPS`` of
    them, as many neighbours as needed are one group, called after the first and the last.
    """
    blocks: dict[str, list[str]] = {}
    for name in plan.convolutions:
        parts = name.strip("/").split("/")
        blocks.setdefault("/".join(parts[: min(2, max(1, len(parts) - 1))]), []).append(name)
    names, joined = list(blocks), -(-len(blocks) // GROUPS)
    groups: dict[str, frozenset[str]] = {}
    for start in range(0, len(names), joined):
        part = names[start : start + joined]
        title = part[0] if len(part) == 1 else f"{part[0]} to {part[-1]}"
        groups[title] = frozenset(n for block in part for n in blocks[block])
    return groups


def find_kept(groups: Sequence[str], fits: Callable[[frozenset[str]], bool]) -> list[str]:
    """The groups that have to be kept so that it ``fits``, each found by bisection.

    With what is kept so far, the shortest run of groups from the first on is sought that fits if
    it is kept too: its last group is needed. Keeping more is taken not to do harm, and keeping
    all of them to fit: then nothing is in INT8.
    """
    kept: list[str] = []
    end = len(groups)
    while not fits(frozenset(kept)):
        low, high = 0, end  # so many from the first on: too few, enough
        while high - low > 1:
            middle = (low + high) // 2
            if fits(frozenset([*kept, *groups[:middle]])):
                high = middle
            else:
                low = middle
        kept.append(groups[high - 1])
        end = high - 1
    return kept[::-1]


def mean_iou(
    engine: Engine,
    samples: Iterable[Sample],
    classes: int,
    rho: tuple[float, float] | None,
) -> float:
    """mIoU, 0 to 1, of an engine with batch 1, at the labels' resolution.

    Args:
        engine: the engine.
        samples: labelled images of any sizes.
        classes: how many there are.
        rho: one threshold per boundary; None for a dense network.
    """
    thresholds = None if rho is None else np.array(rho, np.float32)

    def predict(sample: Sample) -> npt.NDArray[np.uint8]:
        output = engine.run(to_size(sample.image, engine.size)[None], thresholds)
        height, width = sample.label.shape
        return labels_to_size(output.labels[0], (height, width))

    return evaluate_samples(predict, samples, classes).miou()
