"""What a segmenter finds in one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import PixelWork
from lc_trt.runtime import resize
from lc_trt.runtime import visualize as draw
from lc_trt.runtime.visualize import View

if TYPE_CHECKING:
    from supervision import Detections

ALPHA = 0.55  # how much of an overlay is class colour


@dataclass(frozen=True, eq=False)
class Result:
    """Labels of one frame, and how the cascade came to them.

    Attributes:
        labels: class index per pixel, uint8 [H, W], at the frame's size.
        shares: parts of the feature map (0 to 1, adding up to 1) that left at stage 1, 2
            and 3, the grey around a letterboxed frame included, as it is computed too; None
            for a dense network.
        rho: the thresholds that were used, None for a dense network.
        timing: milliseconds a frame: ``prepare`` (to the engine's size), ``engine``,
            ``finish`` (back to the frame's) and their sum ``total``. In a batch ``engine``
            is this frame's part of the pass.
        classes: names by label.
        colours: RGB by label.
        frame: the frame itself, not a copy: drawing reads it.
        engine_size: (H, W) the engine worked at.
        cell_stages: uint8 [h, w], the stage map as the engine gives it, a cell for 8 x 8
            pixels of its image; None for a dense network.
        cell_confidence: float32 [h, w], the same of the winning probability.
        cell_work: uint8 [h, w], what was done for each cell (codes of
            `lc_trt.ir.interface.PixelWork`); None without temporal reuse.
        fit: how the frame came to the engine's size.
    """

    labels: npt.NDArray[np.uint8]
    shares: tuple[float, float, float] | None
    rho: tuple[float, float] | None
    timing: dict[str, float]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    frame: npt.NDArray[np.uint8] = field(repr=False)
    engine_size: tuple[int, int]
    cell_stages: npt.NDArray[np.uint8] | None = field(repr=False)
    cell_confidence: npt.NDArray[np.float32] = field(repr=False)
    fit: resize.Fit = resize.Fit.STRETCH
    cell_work: npt.NDArray[np.uint8] | None = field(default=None, repr=False)

    @cached_property
    def stages(self) -> npt.NDArray[np.uint8] | None:
        """uint8 [H, W] at the frame's size: the stage (1 to 3) a pixel left at; None if dense."""
        if self.cell_stages is None:
            return None
        return resize.stages_to_size(self.cell_stages, self._window, self._size)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float32]:
        """float32 [H, W] at the frame's size: the winning class's probability, 0 to 1."""
        return resize.confidence_to_size(self.cell_confidence, self._window, self._size)

    @cached_property
    def areas(self) -> tuple[float, ...]:
        """The part of the frame that each class covers, by label; they add up to 1."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return tuple((counts / self.labels.size).tolist())

    @property
    def computed(self) -> float | None:
        """The part of the feature map that stages 2 and 3 computed; None without reuse."""
        return self._part(PixelWork.COMPUTED, PixelWork.CONTEXT)

    @property
    def reused(self) -> float | None:
        """The part of the feature map that kept an earlier frame's result; None without reuse."""
        return self._part(PixelWork.KEPT, PixelWork.CONTEXT)

    def overlay(self, alpha: float = ALPHA, *, legend: bool = True) -> npt.NDArray[np.uint8]:
        """The frame under the class colours; BGR uint8 [H, W, 3].

        Args:
            alpha: share of the colours, 0 to 1.
            legend: name the classes along the top.
        """
        picture = draw.blend(self.frame, self.mask(), _checked(alpha))
        if legend:
            draw.class_legend(picture, self.labels, self.classes, self.colours)
        return picture

    def mask(self) -> npt.NDArray[np.uint8]:
        """The class colours alone; BGR uint8 [H, W, 3]."""
        return draw.colour_map(self.labels, self.colours)

    def stage_map(self, alpha: float = ALPHA, *, legend: bool = True) -> npt.NDArray[np.uint8]:
        """The grey frame under the stage colours: green left at stage 1, amber at 2, red at 3.

        Args:
            alpha: share of the colours, 0 to 1.
            legend: write the shares along the top.

        Returns:
            BGR uint8 [H, W, 3].

        Raises:
            UsageError: the network is dense.
        """
        if self.stages is None or self.shares is None:
            raise UsageError("view stages: the network is dense and has no stages")
        colours = draw.colour_map(self.stages - 1, draw.STAGE_COLOURS)
        picture = draw.blend(draw.grey(self.frame), colours, _checked(alpha))
        if legend:
            draw.stage_legend(picture, self.shares)
        return picture

    def side_by_side(self, alpha: float = ALPHA) -> npt.NDArray[np.uint8]:
        """Frame, overlay and stage map in a row, BGR uint8 [H, 3 * W, 3]; 2 * W if dense."""
        pictures = [self.frame, self.overlay(alpha)]
        if self.stages is not None:
            pictures.append(self.stage_map(alpha))
        return draw.side_by_side(pictures)

    def view(self, name: View | str, alpha: float = ALPHA) -> npt.NDArray[np.uint8]:
        """The picture of that name (see `View`); BGR uint8."""
        if name not in list(View):
            raise UsageError(f"view {name!r}: expected {', '.join(View)}")
        view = View(name)
        if view is View.MASK:
            return self.mask()
        if view is View.OVERLAY:
            return self.overlay(alpha)
        return self.stage_map(alpha) if view is View.STAGES else self.side_by_side(alpha)

    def to_supervision(self) -> Detections:
        """One detection a class in the frame, for the ``supervision`` package.

        Returns:
            ``supervision.Detections`` with ``mask`` bool [n, H, W], ``xyxy`` the boxes around
            them, ``class_id``, ``confidence`` (the mean over the mask) and
            ``data["class_name"]``.

        Raises:
            LcTrtError: supervision is not installed.
        """
        try:
            import supervision
        except ModuleNotFoundError as error:
            raise LcTrtError(
                f"the package {error.name} is not installed: pip install supervision"
            ) from None
        present = np.unique(self.labels)
        masks = self.labels == present[:, None, None]
        means = [self.confidence[mask].mean() for mask in masks]
        return supervision.Detections(
            xyxy=supervision.mask_to_xyxy(masks),
            mask=masks,
            class_id=present.astype(np.int64),
            confidence=np.array(means, np.float32),
            data={"class_name": np.array([self.classes[label] for label in present])},
        )

    def _part(self, *codes: PixelWork) -> float | None:
        return None if self.cell_work is None else float(np.isin(self.cell_work, codes).mean())

    @property
    def _window(self) -> resize.Window:
        return resize.window(self._size, self.engine_size, self.fit)

    @property
    def _size(self) -> tuple[int, int]:
        height, width = self.labels.shape
        return height, width


def _checked(alpha: float) -> float:
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha {alpha}: expected 0 to 1")
    return alpha
