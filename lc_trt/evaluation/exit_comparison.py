"""`lc-trt eval --exits`: opens a checkpoint and the data, and compares its exit rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lc_trt.errors import UsageError
from lc_trt.evaluation.data import open_samples
from lc_trt.evaluation.exit_curves import ExitCurve, Operations, compare_rules
from lc_trt.ir.cost import StageMacs, stage_macs
from lc_trt.ir.metadata import ModelInfo
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.progress import SILENT, ProgressMonitor

if TYPE_CHECKING:  # importing an evaluation module loads no PyTorch
    from lc_trt.training.trained_network import TrainedNetwork

LEVELS = (0.002, 0.005, 0.01)  # shares of labels changed at which the table compares rules


@dataclass(frozen=True)
class Options:
    """Options of a comparison.

    Attributes:
        layout: of the data set, as of `lc_trt.data.datasets.open_dataset`.
        split: of the data set.
        limit: number of images, evenly spaced over the split; None for all.
        size: (height, width) in pixels; None for that of an export.
        threads: CPU threads; None for all.
    """

    layout: str = "folder"
    split: str = "val"
    limit: int | None = None
    size: tuple[int, int] | None = None
    threads: int | None = None


@dataclass(frozen=True)
class ExitComparison:
    """Exit rules of a network, on the same images.

    Attributes:
        model: name of the network.
        rule: the rule by which its cells exit.
        missing: rules that it has no parameters for.
        exact: whether the figures are those of the cascade; if not, they assume that the later
            stages see everything, whoever exits.
        size: input (height, width) in pixels.
        data: names of the data set's folder and the split.
        images: number of images.
        curves: one per rule, and the oracle.
        environment: the machine.
        command: the command that reproduces it.
    """

    model: str
    rule: str
    missing: tuple[str, ...]
    exact: bool
    size: tuple[int, int]
    data: str
    images: int
    curves: tuple[ExitCurve, ...]
    environment: dict[str, Any]
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Values for ``--json``."""
        return asdict(self)


def compare_exits(
    model: Path,
    data: Path,
    options: Options,
    *,
    command: str = "",
    monitor: ProgressMonitor = SILENT,
) -> ExitComparison:
    """Compare the exit rules of a checkpoint on labelled images.

    Args:
        model: weights of a cascade, written by ``lc-trt train``.
        data: the data set's folder.
        options: of the comparison.
        command: the command line, for ``--json``.
        monitor: shows progress.

    Raises:
        LcTrtError: unusable model or data.
        UsageError: not a checkpoint of a cascade, or options that do not fit it.
    """
    if model.suffix != ".safetensors":
        raise UsageError(
            f"{model}: --exits needs the probabilities of all stages, which only a checkpoint "
            "gives; expected the .safetensors file that the model was exported from"
        )
    import torch

    from lc_trt.model.exits import FITTED
    from lc_trt.training.trained_network import open_network

    network = open_network(model)
    samples = open_samples(options.layout, data, options.split, network.classes, options.limit)
    size = options.size or ModelInfo.size
    operations = relative_operations(network, size)
    before = torch.get_num_threads()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    try:
        curves = compare_rules(network, samples, size, operations, monitor=monitor)
    finally:
        torch.set_num_threads(before)
    rules = {curve.rule for curve in curves}
    return ExitComparison(
        model=network.spec.name,
        rule=network.spec.exit_rule,
        missing=tuple(rule for rule in FITTED if rule not in rules),
        exact=network.model.exact,
        size=size,
        data=f"{data.resolve().name} {options.split}",
        images=len(samples),
        curves=curves,
        environment=describe_environment(options.threads),
        command=command,
    )


def relative_operations(network: TrainedNetwork, size: tuple[int, int]) -> Operations:
    """Multiply-accumulates of a cascade, relative to all stages on all cells.

    A rule's own are included, as far as they are convolutions.

    Args:
        network: of a checkpoint.
        size: (height, width) in pixels.

    Returns:
        A function of the rule and of the shares of cells that reach stages 2 and 3.
    """
    from lc_trt.ir.export import export_cascade
    from lc_trt.model.encoder_cascade import EncoderCascade
    from lc_trt.model.exits import LARGEST

    model = network.model
    info = ModelInfo("cascade", network.spec.name, network.classes.names, network.classes.colours)

    def macs() -> StageMacs:
        return stage_macs(export_cascade(model, info, *network.spec.normalisation), size)

    by_rule: dict[str, StageMacs] = {}
    if isinstance(model, EncoderCascade):
        chosen = model.exit_rules.chosen
        for rule, _ in model.exit_rules.items():
            model.exit_rules.chosen = rule
            by_rule[rule] = macs()
        model.exit_rules.chosen = chosen
    else:
        by_rule[LARGEST] = macs()
    whole = by_rule[LARGEST].at(1, 1)

    def operations(rule: str, share2: float, share3: float) -> float:
        return by_rule.get(rule, by_rule[LARGEST]).at(share2, share3) / whole

    return operations
