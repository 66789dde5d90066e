"""DLPack by hand: reads a capsule, makes one. Layout: dlpack.h 1.0, https://dmlc.github.io/dlpack.

It is written here because what cuda-python has for it needs a GPU even to describe an array.
"""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # DLDeviceType
VERSION = (1, 0)
_KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}  # DLDataTypeCode by NumPy's letter
_PLAIN, _VERSIONED = b"dltensor", b"dltensor_versioned"
_READ_ONLY = 1


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (
        ("tensor", _Tensor),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


@dataclass(frozen=True)
class Description:
    """An array, as a capsule describes it.

    Attributes:
        address: of the first element.
        shape: in elements.
        dtype: of an element.
        strides: in bytes; None where it is contiguous in C's order.
        device: DLPack's type and number.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None
    device: tuple[int, int]


def describe(capsule: Any) -> Description:
    """Read a capsule. The array lives as long as the capsule does.

    Args:
        capsule: what ``__dlpack__`` returned.

    Raises:
        ValueError: no capsule of DLPack, one of a later major version, or a type of element
            that NumPy does not have.
    """
    name = _name(capsule)
    if name not in (_PLAIN, _VERSIONED):
        raise ValueError(f"a capsule named {name!r}, expected one of DLPack that is not used up")
    pointer = _pointer(capsule, name)
    if name == _VERSIONED:
        versioned = _ManagedVersioned.from_address(pointer)
        if versioned.major != VERSION[0]:
            raise ValueError(f"DLPack {versioned.major}.{versioned.minor}, expected 1")
        tensor = versioned.tensor
    else:
        tensor = _Managed.from_address(pointer).tensor
    kinds = {code: kind for kind, code in _KINDS.items()}
    if tensor.code not in kinds or tensor.lanes != 1 or tensor.bits not in (8, 16, 32, 64):
        raise ValueError(f"elements of DLPack type {tensor.code}, {tensor.bits} bits")
    dtype = np.dtype(f"{kinds[tensor.code]}{tensor.bits // 8}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = (
        tuple(step * dtype.itemsize for step in tensor.strides[: tensor.ndim])
        if tensor.strides
        else None
    )
    address = (tensor.data or 0) + tensor.byte_offset
    return Description(address, shape, dtype, strides, (tensor.device_type, tensor.device_id))


def make_capsule(
    owner: object,
    address: int,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    device: tuple[int, int],
    versioned: bool,
) -> Any:
    """Create a capsule of a contiguous array.

    Args:
        owner: is kept alive until the consumer is done with the array.
        address: of the first element.
        shape: in elements.
        dtype: of an element.
        device: DLPack's type and number.
        versioned: whether the consumer takes capsules of DLPack 1.0; older ones otherwise.
    """
    element = np.dtype(dtype)
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    tensor = _Tensor(
        address, *device, len(shape), _KINDS[element.kind], 8 * element.itemsize, 1, sizes, None, 0
    )
    key = next(_numbers)
    managed = (
        _ManagedVersioned(*VERSION, key, _DELETE_VERSIONED, 0, tensor)
        if versioned
        else _Managed(tensor, key, _DELETE)
    )
    _exported[key] = (owner, sizes, managed)
    name = _VERSIONED if versioned else _PLAIN
    return _new(ctypes.addressof(managed), name, _FORGET)


_numbers = itertools.count(1)
_exported: dict[int, tuple[object, ...]] = {}  # still in use by consumers; by manager_ctx

_python = ctypes.pythonapi
_get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(("PyCapsule_GetName", _python))
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _python)
)
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", _python)
)


def _name(capsule: Any) -> bytes | None:
    if type(capsule).__name__ != "PyCapsule":
        raise ValueError(f"{type(capsule).__name__}, expected a capsule")
    name: bytes | None = _get_name(id(capsule))
    return name


def _pointer(capsule: Any, name: bytes) -> int:
    return int(_get_pointer(id(capsule), name))


def _delete(address: int) -> None:
    _exported.pop(_Managed.from_address(address).manager_ctx, None)


def _delete_versioned(address: int) -> None:
    _exported.pop(_ManagedVersioned.from_address(address).manager_ctx, None)


def _forget(capsule: int) -> None:
    """Destructor of a capsule: frees the array unless a consumer took it over."""
    name = _get_name(capsule)
    if name == _PLAIN:
        _delete(_get_pointer(capsule, name))
    elif name == _VERSIONED:
        _delete_versioned(_get_pointer(capsule, name))


# As C functions. Consumers may call them when the process ends and this module is gone already.
_for_c = [ctypes.CFUNCTYPE(None, ctypes.c_void_p)(f) for f in (_delete, _delete_versioned, _forget)]
for _function in _for_c:
    _python.Py_IncRef(ctypes.py_object(_function))
_DELETE, _DELETE_VERSIONED, _FORGET = (ctypes.cast(f, ctypes.c_void_p).value for f in _for_c)
