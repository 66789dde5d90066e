"""Reject weights with NaN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError

_FLOATS = (np.float32, np.float16, ml_dtypes.bfloat16, np.float64)


@dataclass(frozen=True)
class CheckWeights:
    """Raises LcTrtError if a weight contains NaN; the message names the first one.

    Engines may hide NaN: a ReLU can turn it into 0, which silently gives wrong labels. Infinity is
    valid, because masks and clips use it.
    """

    name: ClassVar[str] = "check_weights"

    def apply(self, graph: Graph) -> PassReport:
        """Check all constants.

        Args:
            graph: is only read.
        """
        for name, value in graph.constants.items():
            if value.dtype not in _FLOATS:
                continue
            count = np.count_nonzero(np.isnan(value))
            if count:
                raise LcTrtError(
                    f"weight {name}: {count} of {value.size} values are NaN; "
                    "export a checkpoint without NaN"
                )
        return PassReport()
