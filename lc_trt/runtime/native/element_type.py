"""Types of the values in rows."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import ml_dtypes
import numpy as np


class ElementType(IntEnum):
    """Type of the values in rows. INT8 has zero point 0."""

    F32 = 0
    BF16 = 1
    S8 = 2
    U8 = 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of NumPy."""
        return np.dtype((np.float32, ml_dtypes.bfloat16, np.int8, np.uint8)[self])

    @property
    def is_integer(self) -> bool:
        """Whether it is INT8."""
        return self in (ElementType.S8, ElementType.U8)
