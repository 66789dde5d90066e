"""Region operators -> the standard operators that CPU engines run fastest.

The functions' own bodies would run too; this pass does better because it knows the
whole graph: a region's neighbour tables are made once for all convolutions of the same
window, positions come from constants, sums of convolutions are one product, and the number of
rows is rounded up.
"""

from __future__ import annotations

from lc_trt.compiler.lower_standard.lower import Lowering, LowerStandard

__all__ = ["LowerStandard", "Lowering"]
