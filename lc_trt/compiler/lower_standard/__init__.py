"""Lowering of region operators to the standard operators that are fastest on CPU engines.

The function bodies would run as well. This pass is faster because it knows the whole graph:
convolutions with the same window share neighbour tables, positions are constants, sums of
convolutions become one matrix product, and the number of rows is rounded up.
"""

from __future__ import annotations

from lc_trt.compiler.lower_standard.lower import Lowering, LowerStandard

__all__ = ["LowerStandard", "Lowering"]
