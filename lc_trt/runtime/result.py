"""The segmentation of one frame."""

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

ALPHA = 0.55  # opacity of the class colours in an overlay


@dataclass(frozen=True, eq=False)
class Result:
    """Labels of one frame, with the exit stages and timing of the cascade.

    Attributes:
        labels: class index per pixel, uint8 [H, W], at the frame's size.
        shares: shares of the feature map (0 to 1, summing to 1) that exited at stages 1, 2 and 3,
            including the padding of a letterboxed frame; None for a dense network.
        rho: thresholds of boundaries 1|2 and 2|3; None for a dense network.
        timing: milliseconds per frame: ``prepare`` (resize to the engine's size), ``engine``,
            ``finish`` (resize to the frame's size) and their sum ``total``. In a batch, the time
            of the pass is divided evenly among its frames.
        classes: class names, indexed by label.
        colours: RGB, indexed by label.
        frame: the frame itself, not a copy, uint8 [H, W, 3], BGR; drawing reads it.
        engine_size: (height, width) of the engine's input.
        cell_stages: exit stages from the engine, uint8 [h, w], one per cell; None for a dense
            network. A cell is a square of input pixels, 4 or 8 per side depending on the network.
        cell_confidence: as ``confidence``, float32 [h, w], per cell.
        fit: how the frame was fitted to the engine's size.
        cell_work: `lc_trt.ir.interface.PixelWork` values, uint8 [h, w], per cell; None without
            temporal reuse.
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
        """Exit stage (1 to 3) per pixel, uint8 [H, W], at the frame's size; None if dense."""
        if self.cell_stages is None:
            return None
        return resize.stages_to_size(self.cell_stages, self.engine_size, self._window, self._size)

    @cached_property
    def confidence(self) -> npt.NDArray[np.float32]:
        """How sure the network is, 0 to 1, float32 [H, W], at the frame's size.

        The score by which a pixel exited, and the probability of the winning class where it did
        not; in most networks the score is that probability.
        """
        return resize.confidence_to_size(
            self.cell_confidence, self.engine_size, self._window, self._size
        )

    @cached_property
    def areas(self) -> tuple[float, ...]:
        """Share of the frame covered by each class, indexed by label; they sum to 1."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return tuple((counts / self.labels.size).tolist())

    @property
    def computed(self) -> float | None:
        """Share of the feature map that stages 2 and 3 computed; None without reuse."""
        return self._work_share(PixelWork.COMPUTED, PixelWork.CONTEXT)

    @property
    def reused(self) -> float | None:
        """Share of the feature map that reused an earlier frame's result; None without reuse."""
        return self._work_share(PixelWork.KEPT, PixelWork.CONTEXT)

    def overlay(self, alpha: float = ALPHA, *, legend: bool = True) -> npt.NDArray[np.uint8]:
        """Blend the class colours over the frame.

        Args:
            alpha: opacity of the colours, 0 to 1.
            legend: whether to draw the class names along the top.

        Returns:
            BGR uint8 [H, W, 3].

        Raises:
            UsageError: ``alpha`` out of range.
        """
        picture = draw.blend(self.frame, self.mask(), _checked(alpha))
        if legend:
            draw.class_legend(picture, self.labels, self.classes, self.colours)
        return picture

    def mask(self) -> npt.NDArray[np.uint8]:
        """The class colours alone, BGR uint8 [H, W, 3]."""
        return draw.colour_map(self.labels, self.colours)

    def stage_map(self, alpha: float = ALPHA, *, legend: bool = True) -> npt.NDArray[np.uint8]:
        """Blend the exit stages over the grey frame: green for stage 1, amber for 2, red for 3.

        Args:
            alpha: opacity of the colours, 0 to 1.
            legend: whether to draw the shares along the top.

        Returns:
            BGR uint8 [H, W, 3].

        Raises:
            UsageError: the network is dense, or ``alpha`` is out of range.
        """
        if self.stages is None or self.shares is None:
            raise UsageError("view stages: the network is dense and has no stages")
        colours = draw.colour_map(self.stages - 1, draw.STAGE_COLOURS)
        picture = draw.blend(draw.grey(self.frame), colours, _checked(alpha))
        if legend:
            draw.stage_legend(picture, self.shares)
        return picture

    def side_by_side(self, alpha: float = ALPHA) -> npt.NDArray[np.uint8]:
        """Frame, overlay and stage map in a row.

        Args:
            alpha: opacity of the colours, 0 to 1.

        Returns:
            BGR uint8 [H, 3 * W, 3]; 2 * W for a dense network.
        """
        pictures = [self.frame, self.overlay(alpha)]
        if self.stages is not None:
            pictures.append(self.stage_map(alpha))
        return draw.side_by_side(pictures)

    def view(self, name: View | str, alpha: float = ALPHA) -> npt.NDArray[np.uint8]:
        """Draw a view.

        Args:
            name: one of `View`.
            alpha: opacity of the colours, 0 to 1.

        Returns:
            BGR uint8 [H, W, 3]; wider for ``side-by-side``.

        Raises:
            UsageError: unknown view, or ``stages`` of a dense network.
        """
        if name not in list(View):
            raise UsageError(f"view {name!r}: expected {', '.join(View)}")
        view = View(name)
        if view is View.MASK:
            return self.mask()
        if view is View.OVERLAY:
            return self.overlay(alpha)
        return self.stage_map(alpha) if view is View.STAGES else self.side_by_side(alpha)

    def to_supervision(self) -> Detections:
        """One detection per class in the frame, for the ``supervision`` package.

        Returns:
            ``supervision.Detections`` with ``mask`` (bool [n, H, W]), ``xyxy`` (bounding boxes),
            ``class_id``, ``confidence`` (mean over the mask) and ``data["class_name"]``.

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

    def _work_share(self, *work: PixelWork) -> float | None:
        return None if self.cell_work is None else float(np.isin(self.cell_work, work).mean())

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
