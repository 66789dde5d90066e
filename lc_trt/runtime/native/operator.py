"""An operator of a region program, as the library reads it."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int32, c_void_p
from enum import IntEnum

MAX_INPUTS = 8


class Kind(IntEnum):
    """What an operator does; see plugins/cpu/lc_trt_cpu.h."""

    MAP = 0
    SELECT = 1
    MASK = 2
    CONV = 3
    RESTRICT = 4
    MAX_POOL = 5
    SCATTER = 6
    EXPORT = 7


class OperatorRecord(ctypes.Structure):
    """``lct_cpu_op``."""

    _fields_ = (
        ("kind", c_int32),
        ("region", c_int32),
        ("inputs", c_int32),
        ("input", c_int32 * MAX_INPUTS),
        ("residual", c_int32),
        ("type", c_int32),
        ("binding", c_int32),
        ("height", c_int32),
        ("width", c_int32),
        ("channels", c_int32),
        ("layout", c_int32),
        ("kernel", c_int32 * 2),
        ("dilation", c_int32 * 2),
        ("relu", c_int32),
        ("threshold", c_int32),
        ("factor", c_float),
        ("weight", c_void_p),
        ("scale", c_void_p),
        ("bias", c_void_p),
    )
