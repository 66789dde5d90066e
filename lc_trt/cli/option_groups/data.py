"""Options for images and labelled data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli.option_groups.compose import OptionGroup


@dataclass(frozen=True, kw_only=True)
class Images(OptionGroup):
    """Images without labels."""

    PANEL = "Images"

    images: Annotated[
        Path, typer.Option(metavar="DIR", help="Images like those that the model will see.")
    ]
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="N images, evenly spread.", show_default="all"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LabelledData(OptionGroup):
    """A labelled data set, and which part of it."""

    PANEL = "Labelled data"

    data: Annotated[Path, typer.Option(metavar="ROOT", help="The data set's folder.")]
    layout: Annotated[str, typer.Option(help="folder, voc or cityscapes.")] = "folder"
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val"
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="N images, evenly spread.", show_default="all"),
    ] = None
