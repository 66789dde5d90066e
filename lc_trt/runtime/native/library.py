"""The native CPU library: where it is, and its C functions (plugins/cpu/lc_trt_cpu.h)."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_float, c_int, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

from lc_trt.errors import LcTrtError
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.operator import OperatorRecord

FILE = "liblc_trt_cpu.so"
HOME = Path(__file__).parents[2] / "plugins"
PATH_VARIABLE = "LC_TRT_CPU_LIBRARY"
ISA_VARIABLE = "LC_TRT_CPU_ISA"  # read by the library
VERSION = 1
ISAS = ("portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx")
BUILD_COMMAND = "cmake -S plugins/cpu -B build/cpu && cmake --build build/cpu"


class Grid(ctypes.Structure):
    """``lct_cpu_grid``: a map of n x h x w pixels."""

    _fields_ = (("n", c_int32), ("h", c_int32), ("w", c_int32))


class RowsRecord(ctypes.Structure):
    """``lct_cpu_rows``."""

    _fields_ = (("rows", c_void_p), ("count", c_int64), ("stride", c_int64), ("table", c_void_p))


_P, _I, _L = c_void_p, c_int32, c_int64
# Function: result and arguments.
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "version": (_I, ()),
    "error": (c_char_p, ()),
    "detected_isa": (c_char_p, ()),
    "isa": (c_char_p, ()),
    "conv_isa": (c_char_p, (_I,)),
    "limit_isa": (c_int, (c_char_p,)),
    "emulates_amx": (_I, ()),
    "pool_create": (_P, (_I,)),
    "pool_destroy": (None, (_P,)),
    "select": (_L, (Grid, _P, c_float, _P, _P, _I, _P, _P)),
    "neighbours": (c_int, (Grid, _P, _L, _P, _I, _I, _I, _I, _P)),
    "parents": (c_int, (Grid, _P, _L, _P, _P)),
    "row_bytes": (_L, (_I, _I)),
    "gather": (c_int, (_P, Grid, _P, _I, _I, _P, _L, c_float, _P, _I, _L)),
    "scatter": (c_int, (_P, Grid, _P, _I, _L, _P, _L, c_float, _P, _I, _I)),
    "max_pool": (c_int, (_P, _P, _L, _I, _L, _I, _P, _L, _I, _P, _L)),
    "conv_create": (_P, (_I, _I, _P, _I, _I, _P, _P, _P)),
    "conv_destroy": (None, (_P,)),
    "conv_run": (c_int, (_P, _P, _P, _P, _I, c_float, _I, _L, _P, _I, _L)),
    "op_bytes": (_I, ()),
    "program_create": (_P, (_P, _I, _I)),
    "program_destroy": (None, (_P,)),
    "program_run": (c_int, (_P, _P, _I, _I, _P, _I, _P, _I)),
    "program_rows": (_L, (_P, _I)),
    "program_arena_bytes": (_L, (_P,)),
}


def find_library() -> Path | None:
    """The file that $LC_TRT_CPU_LIBRARY names, or else the installed one; None if not compiled.

    Raises:
        LcTrtError: the variable names no file.
    """
    named = os.environ.get(PATH_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise LcTrtError(
                f"{PATH_VARIABLE} is {named}: no such file, expected {FILE}; "
                f"compile it: {BUILD_COMMAND}"
            )
        return Path(named)
    path = HOME / FILE
    return path if path.is_file() else None


class NativeLibrary:
    """The loaded library.

    Args:
        path: of the file.

    Raises:
        LcTrtError: it cannot be loaded, is another library or another version, or
            $LC_TRT_CPU_ISA is not the name of an instruction set.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._library = ctypes.CDLL(str(path))
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(self._library, f"lct_cpu_{name}")
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            raise LcTrtError(
                f"{path}: cannot be loaded ({error}), expected {FILE}; compile it: {BUILD_COMMAND}"
            ) from error
        version = self._library.lct_cpu_version()
        if version != VERSION or self._library.lct_cpu_op_bytes() != ctypes.sizeof(OperatorRecord):
            raise LcTrtError(
                f"{path}: is version {version}, this lc-trt needs version {VERSION}; "
                f"compile it again: {BUILD_COMMAND}"
            )
        self.isa  # noqa: B018 - fails for an invalid variable

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function.

        Args:
            name: without ``lct_cpu_``.
            arguments: as ctypes takes them.

        Returns:
            Its result.

        Raises:
            LcTrtError: it failed; has the library's message.
        """
        result_type = _SIGNATURES[name][0]
        result = getattr(self._library, f"lct_cpu_{name}")(*arguments)
        failed = result is None if result_type in (_P, c_char_p) else result == -1
        if failed and result_type is not None:
            message = self._library.lct_cpu_error().decode()
            raise LcTrtError(f"native CPU library: {message}")
        return result

    @property
    def detected_isa(self) -> str:
        """Best instruction set of the machine, one of `ISAS`."""
        return str(self.call("detected_isa").decode())

    @property
    def isa(self) -> str:
        """Instruction set in use: the best one that $LC_TRT_CPU_ISA or `limit_isa` allows."""
        return str(self.call("isa").decode())

    def conv_isa(self, element_type: ElementType) -> str:
        """Instruction set of convolutions.

        Args:
            element_type: of their rows.
        """
        return str(self.call("conv_isa", element_type).decode())

    def limit_isa(self, name: str | None) -> None:
        """Cap the instruction set of what is created from now on.

        Args:
            name: one of `ISAS`; None for no cap.

        Raises:
            LcTrtError: another name.
        """
        self.call("limit_isa", None if name is None else name.encode())

    @property
    def emulates_amx(self) -> bool:
        """Whether AMX is a software model: a build for tests."""
        return bool(self.call("emulates_amx"))


class Pool:
    """Threads that the library's functions run on.

    Its callers take turns: calls of several threads with one pool are serialised. A forked child
    needs a pool of its own.

    Args:
        library: the library.
        threads: their number, the caller's included.

    Raises:
        LcTrtError: fewer than 1 or more than 1024.
    """

    def __init__(self, library: NativeLibrary, threads: int) -> None:
        self.library, self.threads = library, threads
        self._handle: int | None = library.call("pool_create", threads)

    @property
    def handle(self) -> int:
        """Pointer for the library.

        Raises:
            ValueError: the pool is closed.
        """
        if self._handle is None:
            raise ValueError("the pool is closed")
        return self._handle

    def close(self) -> None:
        """End the threads. Nothing may use the pool meanwhile or afterwards."""
        if self._handle is not None:
            self.library.call("pool_destroy", self._handle)
            self._handle = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()
