"""What a region convolution reads at a neighbour outside the region."""

from __future__ import annotations

from enum import StrEnum


class Neighbours(StrEnum):
    """The value of a neighbour outside the region; one outside the image reads 0 in every form.

    Attributes:
        EXACT: that of the dense map, as without exits.
        ZEROS: 0, as published (X. Li et al., CVPR 2017).
        STAND_IN: an estimate, the 1x1 convolution of a narrower dense map.
    """

    EXACT = "exact"
    ZEROS = "zeros"
    STAND_IN = "stand_in"
