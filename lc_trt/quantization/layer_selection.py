"""Selects the layers to keep out of INT8, by bisection on the mIoU over labelled images."""

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

GROUPS = 32  # at most; larger networks have neighbouring blocks merged


def layer_groups(plan: QuantizationPlan) -> dict[str, frozenset[str]]:
    """Group convolutions by block: ``stage2/4``, ``head1/0`` and so on.

    A block is the first two components of a layer's path. If there are more than ``GROUPS``,
    neighbouring blocks are merged into a group named after the first and the last.

    Args:
        plan: of the model.

    Returns:
        Names of convolutions per group, in the order of the graph.
    """
    blocks: dict[str, list[str]] = {}
    for name in plan.convolutions:
        path = name.strip("/").split("/")
        blocks.setdefault("/".join(path[: min(2, max(1, len(path) - 1))]), []).append(name)
    names, merged = list(blocks), -(-len(blocks) // GROUPS)
    groups: dict[str, frozenset[str]] = {}
    for start in range(0, len(names), merged):
        run = names[start : start + merged]
        title = run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}"
        groups[title] = frozenset(name for block in run for name in blocks[block])
    return groups


def find_sensitive(groups: Sequence[str], accurate: Callable[[frozenset[str]], bool]) -> list[str]:
    """The groups that have to stay in floating point, found by bisection.

    Each search finds the shortest prefix of ``groups`` that makes the network accurate together
    with the groups found before; the last group of the prefix is sensitive. Excluding more groups
    is assumed not to reduce accuracy, and excluding all of them to suffice.

    Args:
        groups: names, in the order of the graph.
        accurate: whether the network is accurate enough with these groups in floating point.

    Returns:
        The sensitive groups, in the order of the graph.
    """
    sensitive: list[str] = []
    end = len(groups)
    while not accurate(frozenset(sensitive)):
        low, high = 0, end  # lengths of prefixes: too short, long enough
        while high - low > 1:
            middle = (low + high) // 2
            if accurate(frozenset([*sensitive, *groups[:middle]])):
                high = middle
            else:
                low = middle
        sensitive.append(groups[high - 1])
        end = high - 1
    return sensitive[::-1]


@dataclass
class LayerSelection:
    """Selects the layers that stay in floating point, so that INT8 costs little mIoU.

    Attributes:
        model: an exchange model.
        info: its metadata.
        options: of the engine, with a fixed size and batch 1.
        ranges: range per activation, from the calibration.
        plan: of the model.
        samples: labelled images.
        max_drop: points of mIoU (0 to 100) that INT8 may cost.
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
        """Select the layers.

        Args:
            by_hand: convolutions that stay in floating point in any case.

        Returns:
            The convolutions that stay in floating point, the groups added to ``by_hand`` with
            reasons, and the mIoU in FP32 and in INT8.
        """
        groups = layer_groups(self.plan)
        fp32 = self._measure(None, "mIoU in FP32")
        mious: dict[frozenset[str], float] = {}

        def excluding(names: Iterable[str]) -> frozenset[str]:
            return by_hand.union(*(groups[name] for name in names))

        def drop(names: frozenset[str]) -> float:
            if names not in mious:
                keep = excluding(names)
                phase = f"mIoU with {len(keep)} of {len(self.plan.convolutions)} layers in FP32"
                mious[names] = self._measure(keep, phase)
            return (fp32 - mious[names]) * 100

        sensitive = find_sensitive(list(groups), lambda names: drop(names) <= self.max_drop)
        exclusions = []
        for name in sensitive:
            without = drop(frozenset(sensitive) - {name})
            reason = f"without it mIoU drops by {without:.2f} points, over {self.max_drop:g}"
            exclusions.append(Exclusion((name,), reason))
        final = drop(frozenset(sensitive))
        figures = (fp32, fp32 - final / 100, final)
        miou = Miou(*(round(figure, 5) for figure in figures))
        return excluding(sensitive), tuple(exclusions), miou

    def _measure(self, keep: frozenset[str] | None, phase: str) -> float:
        """mIoU in INT8 with these convolutions in floating point; None measures FP32."""
        if keep is None:
            options = replace(self.options, precision=Precision.FP32)
        else:
            options = replace(self.options, quantization=Quantization(self.ranges, keep))
        # Tensors beyond FP16 are looked for later, in the layers that stay in floating point.
        engine = get_backend(options.backend).simulate(self.model, options)
        rho = self.info.default_rho if self.info.kind == "cascade" else None
        try:
            samples = self.monitor.track(phase, self.samples)
            return mean_iou(engine, samples, len(self.info.classes), rho)
        finally:
            engine.close()


def mean_iou(
    engine: Engine,
    samples: Iterable[Sample],
    classes: int,
    rho: tuple[float, float] | None,
) -> float:
    """mIoU of an engine at the resolution of the labels.

    Args:
        engine: an engine of batch 1.
        samples: labelled images of any sizes.
        classes: number of classes.
        rho: thresholds, one per boundary; None for a dense network.

    Returns:
        A value from 0 to 1.
    """
    thresholds = None if rho is None else np.array(rho, np.float32)

    def predict(sample: Sample) -> npt.NDArray[np.uint8]:
        output = engine.run(to_size(sample.image, engine.size)[None], thresholds)
        height, width = sample.label.shape
        return labels_to_size(output.labels[0], (height, width))

    return evaluate_samples(predict, samples, classes).miou()
