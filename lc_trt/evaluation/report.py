"""An evaluation as a folder: index.html, one page with its figures inside, and the data as JSON."""

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
    from lc_trt.evaluation.runner import Outcome

PAGE, DATA = "index.html", "evaluation.json"
TEMPLATE = "report.html.j2"
_NEEDED = ("matplotlib", "jinja2")


def check(out: Path) -> None:
    """Refuse what `write` would, before minutes are spent on it.

    Raises:
        LcTrtError: a package that draws reports is missing, or ``out`` cannot be written.
    """
    for module in _NEEDED:
        if find_spec(module) is None:
            raise LcTrtError(
                f"--report needs {module}, which is not installed: pip install 'lc-trt[report]'"
            )
    check_out(out, DATA)


def write(out: Path, outcome: Outcome, pictures: Sequence[Picture]) -> None:
    """Write the report, whole or not at all; an earlier report there is replaced.

    Args:
        pictures: what to show of single images.

    Raises:
        LcTrtError: ``out`` is something else, or cannot be written.
    """
    page = render(outcome, pictures)
    data = json.dumps(outcome.as_dict(), indent=2) + "\n"
    write_folder(out, {PAGE: page.encode(), DATA: data.encode()}, DATA)


def render(outcome: Outcome, pictures: Sequence[Picture]) -> str:
    """The page."""
    from jinja2 import Environment, StrictUndefined

    text = files("lc_trt.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(_content(outcome, pictures))


def _content(outcome: Outcome, pictures: Sequence[Picture]) -> dict[str, Any]:
    """What the template shows; figures as data URIs, absent ones as None."""
    from lc_trt.evaluation import figures

    found, classes = outcome.evaluation, outcome.classes
    stages = found.stages
    of_sweep: dict[str, Any] = {"curve": None, "grid": None, "thresholds": None, "front": None}
    if outcome.points:
        of_sweep["curve"] = _embed(figures.curve(outcome.points))
        of_sweep["thresholds"] = tables.thresholds(outcome.points)
    if outcome.grid:
        of_sweep["grid"] = _embed(figures.grid(outcome.points))
        of_sweep["front"] = tables.front(outcome.points)
    of_stages: dict[str, Any] = {"left": None, "left_figure": None, "boundary": None}
    if stages is not None:
        of_stages = {
            "left": tables.left_by_class(found),
            "left_figure": _embed(figures.left_by_class(stages, classes)),
            "boundary": _embed(figures.boundary(stages)),
        }
    return {
        "outcome": outcome,
        "found": found,
        "published": published,
        "enough": ENOUGH,
        "classes": tables.accuracy(found),
        "pictures": [(p.name, _embed(figures.panels(p, classes))) for p in pictures],
        **of_sweep,
        **of_stages,
    }


def _embed(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
