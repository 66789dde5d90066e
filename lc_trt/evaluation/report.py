"""Writes an evaluation as a folder: a self-contained HTML page and the data as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lc_trt.data import published
from lc_trt.errors import LcTrtError
from lc_trt.evaluation import tables
from lc_trt.evaluation.folder import check_out, write_folder
from lc_trt.evaluation.pictures import Picture
from lc_trt.evaluation.sweep import ENOUGH

if TYPE_CHECKING:
    from lc_trt.evaluation.outcome import Outcome

PAGE, DATA = "index.html", "evaluation.json"
TEMPLATE = "report.html.j2"
_NEEDED = ("matplotlib", "jinja2")


def check(out: Path) -> None:
    """Check early that `write` can write a report.

    Args:
        out: the folder.

    Raises:
        LcTrtError: a required package is missing, or ``out`` cannot be written.
    """
    for module in _NEEDED:
        if find_spec(module) is None:
            raise LcTrtError(
                f"--report needs {module}, which is not installed: pip install 'lc-trt[report]'"
            )
    check_out(out, DATA)


def write(out: Path, outcome: Outcome, pictures: Sequence[Picture]) -> None:
    """Write a report atomically, replacing an earlier one.

    Args:
        out: the folder.
        outcome: of the evaluation.
        pictures: of single images.

    Raises:
        LcTrtError: ``out`` holds other files, or cannot be written.
    """
    page = render(outcome, pictures)
    data = json.dumps(outcome.as_dict(), indent=2) + "\n"
    write_folder(out, {PAGE: page.encode(), DATA: data.encode()}, DATA)


def render(outcome: Outcome, pictures: Sequence[Picture]) -> str:
    """Render the HTML page.

    Args:
        outcome: of the evaluation.
        pictures: of single images.
    """
    from jinja2 import Environment, StrictUndefined

    text = files("lc_trt.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(_content(outcome, pictures))


def _content(outcome: Outcome, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Variables of the template; figures as data URIs, None if absent."""
    from lc_trt.evaluation import figures

    evaluation, classes = outcome.evaluation, outcome.classes
    stages = evaluation.stages
    sweep_content: dict[str, Any] = {"curve": None, "grid": None, "thresholds": None, "front": None}
    if outcome.points:
        sweep_content["curve"] = _embed(figures.curve(outcome.points))
        sweep_content["thresholds"] = tables.thresholds(outcome.points)
    if outcome.grid:
        sweep_content["grid"] = _embed(figures.grid(outcome.points))
        sweep_content["front"] = tables.front(outcome.points)
    stage_content: dict[str, Any] = {"left": None, "left_figure": None, "boundary": None}
    if stages is not None:
        stage_content = {
            "left": tables.left_by_class(evaluation),
            "left_figure": _embed(figures.left_by_class(stages, classes)),
            "boundary": _embed(figures.boundary(stages)),
        }
    return {
        "outcome": outcome,
        "evaluation": evaluation,
        "published": published,
        "enough": ENOUGH,
        "classes": tables.accuracy(evaluation),
        "pictures": [(p.name, _embed(figures.panels(p, classes))) for p in pictures],
        **sweep_content,
        **stage_content,
    }


def _embed(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
