"""Which layers to keep out of INT8 so that accuracy holds: mIoU on labelled images, bisection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx

from lc_trt.backends.registry import get_backend
from lc_trt.bundle.sections import Exclusion, Miou
from lc_trt.compiler.options import CompileOptions, Quantization, Range
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan
from lc_trt.compiler.precision import Precision
from lc_trt.data.datasets import Dataset, Sample
from lc_trt.data.metrics import evaluate_samples
from lc_trt.ir.metadata import ModelInfo
from lc_trt.runtime.engines.base import Engine
from lc_trt.runtime.resize import labels_to_size, to_size
from lc_trt.utils.progress import ProgressMonitor

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


@dataclass
class LayerSelection:
    """Chooses the layers that stay out of INT8 so that accuracy holds, each choice measured once.

    Attributes:
        model: an exchange model.
        info: its metadata.
        options: what is to be compiled for, at one size and batch 1.
        ranges: of the calibration.
        plan: of the model.
        samples: labelled images.
        max_drop: points of mIoU that INT8 may cost.
        monitor: shows progress.
    """

    model: onnx.ModelProto
    info: ModelInfo
    options: CompileOptions
    ranges: Mapping[str, Range]
    plan: QuantizationPlan
    samples: Dataset
    max_drop: float
    monitor: ProgressMonitor

    def run(self, by_hand: frozenset[str]) -> tuple[frozenset[str], tuple[Exclusion, ...], Miou]:
        """The convolutions that stay in floating point, why, and the mIoU then.

        Args:
            by_hand: convolutions that stay in any case.
        """
        groups = layer_groups(self.plan)
        fp32 = self._measure(None, "mIoU in FP32")
        measured: dict[frozenset[str], float] = {}

        def drop(chosen: frozenset[str]) -> float:
            keep = by_hand.union(*(groups[name] for name in chosen))
            if chosen not in measured:
                what = f"mIoU with {len(keep)} of {len(self.plan.convolutions)} layers in FP32"
                measured[chosen] = self._measure(keep, what)
            return (fp32 - measured[chosen]) * 100

        chosen = find_kept(list(groups), lambda candidate: drop(candidate) <= self.max_drop)
        reasons = []
        for name in chosen:
            without = drop(frozenset(chosen) - {name})
            reason = f"without it mIoU drops by {without:.2f} points, over {self.max_drop:g}"
            reasons.append(Exclusion((name,), reason))
        final = frozenset(chosen)
        figures = (fp32, fp32 - drop(final) / 100, drop(final))
        keep = by_hand.union(*(groups[name] for name in chosen))
        return keep, tuple(reasons), Miou(*(round(figure, 5) for figure in figures))

    def _measure(self, keep: frozenset[str] | None, what: str) -> float:
        """mIoU in INT8 without these convolutions; in FP32 for None."""
        if keep is None:
            options = replace(self.options, precision=Precision.FP32)
        else:
            options = replace(self.options, quantization=Quantization(self.ranges, keep))
        # What FP16 beside INT8 cannot hold is looked for once the layers are chosen.
        engine = get_backend(options.backend).simulate(self.model, options)
        rho = self.info.default_rho if self.info.kind == "cascade" else None
        try:
            samples = self.monitor.track(what, self.samples)
            return mean_iou(engine, samples, len(self.info.classes), rho)
        finally:
            engine.close()


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
