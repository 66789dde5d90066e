"""``lc-trt train``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lc_trt.cli import console
from lc_trt.cli.interrupts import interrupts
from lc_trt.errors import UsageError
from lc_trt.training.config import TrainConfig

if TYPE_CHECKING:
    from lc_trt.training.trainer import Progress

N = TypeVar("N", int, float)
_LINE_EVERY = 50  # steps between progress lines where stderr is no terminal


def train(
    data: Annotated[str, typer.Option(help="Folder with {train,val}/{images,labels}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    preset: Annotated[str, typer.Option(help="The network.")] = "irnet-small",
    classes: Annotated[str, typer.Option(help="camvid, voc or a number.")] = "camvid",
    heads: Annotated[
        str | None,
        typer.Option(help="Classifier form: plain or aspp.", show_default="the preset's"),
    ] = None,
    deep_epochs: Annotated[int, typer.Option(min=0, help="Deep supervision.")] = 46,
    cascade_epochs: Annotated[int, typer.Option(min=0, help="Cascade fine-tuning.")] = 6,
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 8,
    crop: Annotated[str, typer.Option(metavar="HxW", help="Pixels of a crop.")] = "192x256",
    scale: Annotated[str, typer.Option(metavar="A,B", help="Range of random scale.")] = "0.5,1.25",
    rate: Annotated[float, typer.Option(help="Peak learning rate, deep supervision.")] = 2e-3,
    cascade_rate: Annotated[float, typer.Option(help="Peak learning rate, fine-tuning.")] = 4e-4,
    aspect: Annotated[float, typer.Option(help="Largest stretch of one axis.")] = 1.4,
    init: Annotated[
        str | None, typer.Option(help="Weights of an earlier run.", show_default="random")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, batches and dropout.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Start over, or go on where a run stopped.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Train a cascade: deep supervision, then cascade fine-tuning.

    A run that was stopped or killed goes on when the same command is given again. OUT then
    holds best.safetensors, for `lc-trt export --checkpoint`, and last.pt, to resume from.

    Example:
      lc-trt train --data camvid --out runs/small --preset irnet-small --classes camvid
    """
    config = TrainConfig(
        data=data,
        preset=preset,
        classes=classes,
        heads=heads,
        deep_epochs=deep_epochs,
        cascade_epochs=cascade_epochs,
        rate=rate,
        cascade_rate=cascade_rate,
        batch=batch,
        crop=_pair("--crop", crop, "x", int),
        scale=_pair("--scale", scale, ",", float),
        aspect=aspect,
        init=init,
        seed=seed,
    )
    import torch

    from lc_trt.training.trainer import Trainer

    if threads:
        torch.set_num_threads(threads)
    trainer = Trainer(config, out, validated=_validated, fresh=fresh)
    if trainer.step:
        console.note(f"resuming {out} at step {trainer.step} of {trainer.steps}")
    warning = "stopping after this step (Ctrl-C again: at once, losing unsaved steps)"
    with interrupts(warning) as stop, _reports(trainer.step, trainer.steps) as trainer.report:
        trainer.run(stop)
    finished = trainer.step == trainer.steps
    if as_json:
        summary = {
            "finished": finished,
            "step": trainer.step,
            "steps": trainer.steps,
            "refused": trainer.refused,
            "val_miou": trainer.best,
            "weights": str(trainer.best_path) if trainer.best else None,
        }
        typer.echo(json.dumps(summary))
    if not finished:
        console.note(
            f"stopped and saved at step {trainer.step} of {trainer.steps}; "
            "the same command goes on from there"
        )
        raise typer.Exit(130)
    console.note(f"finished: {trainer.best_path}")


def _pair(option: str, text: str, separator: str, number: Callable[[str], N]) -> tuple[N, N]:
    """The two numbers of an option."""
    try:
        first, second = text.lower().split(separator)
        return number(first), number(second)
    except ValueError:
        raise UsageError(
            f"{option} {text!r}: expected two numbers with {separator!r} between them"
        ) from None


def _validated(phase: str, miou: float, shares: list[float]) -> None:
    left = "/".join(f"{100 * share:.0f}" for share in shares)
    console.note(f"{phase}: val mIoU {100 * miou:.2f} %, {left} % left at stages 1/2/3")


@contextmanager
def _reports(done: int, steps: int) -> Iterator[Callable[[Progress], None]]:
    """A progress line on a terminal, else a line of text every now and then."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    def text(progress: Progress) -> str:
        losses = " ".join(f"{loss:.3f}" for loss in progress.losses)
        parts = [f"loss {losses}", f"rate {progress.rate:.1e}"]
        if progress.shares:
            parts.append("left " + "/".join(f"{100 * s:.0f}" for s in progress.shares) + " %")
        if progress.refused:
            parts.append(f"refused {progress.refused}")
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
        return ", ".join(parts)

    live = console.err().is_terminal and not console.settings.quiet
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=console.err(),
        disable=not live,
    )

    def report(progress: Progress) -> None:
        if live:
            bar.update(
                task, completed=progress.step, description=progress.phase, text=text(progress)
            )
        elif progress.step % _LINE_EVERY == 0 or progress.step == steps:
            console.note(f"{progress.phase} {progress.step}/{steps}: {text(progress)}")

    with bar:
        task = bar.add_task("reading", total=steps, completed=done, text="")
        yield report
