"""`lc-trt eval --exits`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.cli.option_groups.data import LabelledData
from lc_trt.cli.option_groups.hardware import Threads
from lc_trt.cli.option_groups.model import FreeSize, PlainOnnx
from lc_trt.cli.option_groups.output import Output
from lc_trt.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from lc_trt.evaluation.exit_comparison import ExitComparison


def compare_exits(
    model: Path,
    labelled: LabelledData,
    size: FreeSize,
    plain: PlainOnnx,
    threads: Threads,
    output: Output,
    others: Mapping[str, bool],
    plot: Path | None,
) -> None:
    """Compare the exit rules of a checkpoint, and print and draw the result.

    Args:
        model: the checkpoint.
        labelled: the images.
        size: of the network's input.
        plain: must have no options.
        threads: of the CPU.
        output: how to print.
        others: options that do not fit --exits, and whether they were given.
        plot: where to draw the curves; None for nowhere.

    Raises:
        LcTrtError: unusable model or data, or the plot cannot be written.
        UsageError: options that do not fit each other or the model.
    """
    for name, given in others.items():
        if given:
            raise UsageError(
                f"{name}: --exits compares rules at all thresholds, in PyTorch; omit {name}"
            )
    imports = plain.import_options(size.pixels())
    if imports.classes is not None or imports.normalisation is not None:
        raise UsageError(
            f"{model}: --exits takes a checkpoint, with its own classes and normalisation; omit "
            "--classes, --mean, --std, --bgr"
        )
    if plot is not None:
        from lc_trt.evaluation import exit_figure, figures  # matplotlib, before a minute is spent

        figures.check_plot(plot)
    from lc_trt.evaluation.exit_comparison import Options
    from lc_trt.evaluation.exit_comparison import compare_exits as compare

    options = Options(
        layout=labelled.layout,
        split=labelled.split,
        limit=labelled.limit,
        size=imports.size,
        threads=threads.threads,
    )
    comparison = compare(
        model,
        labelled.data,
        options,
        command=command_line("lc-trt", console.settings.arguments),
        monitor=console.BarMonitor(),
    )
    if plot is not None:
        exit_figure.write(plot, comparison)
    output.print(comparison.as_dict(), _table(comparison), _sentence(comparison))
    if not comparison.exact:
        console.warn(
            f"{model}: neighbours that left change what its later stages see; these figures "
            "assume that they see everything, so that they only compare the rules"
        )
    if comparison.missing:
        console.note(
            f"{model} has no parameters for {', '.join(comparison.missing)}: "
            "python tools/fit_exits.py fits them"
        )
    if plot is not None:
        console.note(f"wrote {plot}")


def _table(comparison: ExitComparison) -> Table:
    from lc_trt.evaluation.exit_comparison import LEVELS

    rows = []
    for level in LEVELS:
        for curve in comparison.curves:
            found = curve.at(level)
            if found is None:
                continue
            figures = (*found.passed, found.operations)
            percent = (f"{100 * figure:.1f}" for figure in figures)
            rows.append((f"{100 * level:g}", curve.rule, *percent, f"{100 * found.lost:.2f}"))
    columns = (
        "labels changed %", "exit rule", "reach stage 2 %", "reach stage 3 %", "operations %",
        "mIoU lost",
    )  # fmt: skip
    return console.table(columns, rows, "Exit rules at equal shares of labels changed")


def _sentence(comparison: ExitComparison) -> str:
    whole = comparison.curves[0].points[-1]
    return (
        f"{comparison.model} on {comparison.data}: mIoU {100 * whole.miou:.2f} % without early "
        f"exit, {comparison.images} images; its exit rule is {comparison.rule}"
    )
