"""The C interface of plugins/harness in Python: device arrays, kernels and plugin objects.

The same calls reach a GPU or the emulator, by the library that is loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_int64, c_size_t, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int8): 2}
TYPES[np.dtype(ml_dtypes.bfloat16)] = 3
LINEAR, HWC8, HWC16 = 0, 2, 11
# nvinfer1::DataType and PluginFieldType.
FLOAT, HALF, INT8, INT32, BOOL, BF16 = 0, 1, 2, 3, 4, 7
TENSOR_TYPES = {
    "float32": FLOAT, "float16": HALF, "bfloat16": BF16, "int8": INT8, "int32": INT32, "bool": BOOL,
}  # fmt: skip
FIELD_TYPES = {"float32": 1, "int32": 5, "int64": 10}


class HarnessError(Exception):
    """The text of lct_message()."""


class Tensor(ctypes.Structure):
    """LctTensor."""

    _fields_ = (("type", c_int32), ("format", c_int32), ("rank", c_int32), ("sizes", c_int64 * 8))


class Field(ctypes.Structure):
    """LctField, which is nvinfer1::PluginField."""

    _fields_ = (("name", c_char_p), ("data", c_void_p), ("type", c_int32), ("length", c_int32))


class _Segment(ctypes.Structure):
    _fields_ = (("x", c_void_p), ("stride", c_int32), ("channels", c_int32))


class _Conv(ctypes.Structure):
    _fields_ = (
        ("segments", POINTER(_Segment)), ("segment_count", c_int32), ("x_rows", c_int32),
        ("rows", c_void_p), ("index", c_void_p), ("count", c_void_p), ("max_rows", c_int32),
        ("map", c_int32 * 3), ("window", c_int32 * 4),
        ("weight", c_void_p), ("bias", c_void_p), ("residual", c_void_p), ("y", c_void_p),
        ("out_channels", c_int32), ("residual_scale", c_float), ("relu", c_int32),
        ("scale", c_void_p), ("residual_factor", c_float),
        ("type", c_int32), ("bias_type", c_int32), ("residual_type", c_int32),
        ("output_type", c_int32), ("layout", c_int32), ("tactic", c_int32),
    )  # fmt: skip


class Array:
    """Device memory with a shape; freed with the object."""

    def __init__(self, harness: Harness, shape: Sequence[int], dtype: Any) -> None:
        self.harness, self.shape, self.dtype = harness, tuple(shape), np.dtype(dtype)
        self.bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        pointer = c_void_p()
        harness.call("lct_allocate", byref(pointer), c_size_t(max(self.bytes, 1)))
        self.pointer = pointer.value

    def __del__(self) -> None:
        if getattr(self, "pointer", None) is not None:
            self.harness.library.lct_free(c_void_p(self.pointer))

    def set(self, value: np.ndarray) -> None:
        """Copy in, on the harness's stream."""
        value = np.ascontiguousarray(value, self.dtype)
        assert value.size * value.itemsize == self.bytes, (value.shape, self.shape)
        self.harness.copy(self.pointer, value.ctypes.data, self.bytes)

    def numpy(self) -> np.ndarray:
        """Copy out."""
        value = np.empty(self.shape, self.dtype)
        self.harness.copy(value.ctypes.data, self.pointer, self.bytes)
        return value


@dataclass
class Region:
    """A region on the device; `rows` has capacity for every position of the map."""

    mask: np.ndarray  # bool [N, H, W]
    rows: Array
    index: Array
    count: Array

    @property
    def map(self) -> Any:
        return (c_int32 * 3)(*self.mask.shape)

    @property
    def max_rows(self) -> int:
        return self.rows.shape[0]

    @property
    def size(self) -> int:
        return int(self.mask.sum())


def describe(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, index and count of a mask [N, H, W]; rows beyond count hold no position."""
    positions = np.flatnonzero(mask)
    rows = np.full(mask.size, -7, np.int32)
    rows[: len(positions)] = positions
    index = np.zeros(mask.size, np.int32)
    index[positions] = np.arange(1, len(positions) + 1)
    return rows, index.reshape(mask.shape), np.array([len(positions)], np.int32)


class Harness:
    """A loaded harness and one stream."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.lct_message.restype = c_char_p
        stream = c_void_p()
        self.call("lct_stream_create", byref(stream))
        self.stream = stream

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the interface; HarnessError if it fails."""
        if getattr(self.library, name)(*arguments) != 0:
            raise HarnessError(self.library.lct_message().decode())

    def copy(self, to: int | None, source: int | None, count: int) -> None:
        """Copy bytes between host and device."""
        if count:
            self.call("lct_copy", c_void_p(to), c_void_p(source), c_size_t(count), self.stream)

    def put(self, value: Any, dtype: Any = None) -> Array:
        """A device copy."""
        value = np.asarray(value, dtype)
        array = Array(self, value.shape, value.dtype)
        array.set(value)
        return array

    def poisoned(self, shape: Sequence[int], dtype: Any) -> Array:
        """Device memory of bytes 0xff, which are NaN in FP16 and FP32 and -1 in int32."""
        dtype = np.dtype(dtype)
        count = int(np.prod(shape)) * dtype.itemsize
        return self.put(np.full(count, 0xFF, np.uint8).view(dtype).reshape(shape))

    def region(self, mask: np.ndarray) -> Region:
        """A region on the device."""
        rows, index, count = describe(mask)
        return Region(mask, self.put(rows), self.put(index), self.put(count))

    def change(self, region: Region, mask: np.ndarray) -> None:
        """Another region of the same map, in the same memory."""
        rows, index, count = describe(mask)
        region.mask = mask
        region.rows.set(rows)
        region.index.set(index)
        region.count.set(count)

    def synchronise(self) -> None:
        """Wait for the stream."""
        self.call("lct_synchronise", self.stream)

    @contextmanager
    def captured(self) -> Iterator[Graph]:
        """Capture the calls inside into a graph."""
        graph = Graph(self)
        self.call("lct_capture_begin", self.stream)
        yield graph
        self.call("lct_capture_end", self.stream, byref(graph.handle))

    # --- kernels -------------------------------------------------------------------------------

    def select(
        self, confidence: Array, active: Array, rho: Array, rows: Array, index: Array,
        count: Array, hard: Array,
    ) -> None:  # fmt: skip
        """region_select on [N, 1, H, W] maps."""
        n, _, h, w = confidence.shape
        self.call(
            "lct_region_select",
            *_pointers(confidence, active, rho, rows, index, count, hard),
            (c_int32 * 3)(n, h, w), TYPES[confidence.dtype],
            0 if active.dtype.itemsize == 1 else 1, self.stream,
        )  # fmt: skip

    def gather(self, x: Array, region: Region, y: Array, layout: int = 0) -> None:
        """region_gather; layout 1 is [N, H, W, C8], 2 the same of C16."""
        self.call(
            "lct_region_gather", *_pointers(x, region.rows, region.count, y), region.max_rows,
            y.shape[1], region.map, TYPES[y.dtype], layout, self.stream,
        )  # fmt: skip

    def restrict(self, x: Array, outer: Region, inner: Region, y: Array) -> None:
        """region_restrict."""
        self.call(
            "lct_region_restrict", *_pointers(x, outer.index, inner.rows, inner.count, y),
            x.shape[0], inner.max_rows, x.shape[1], inner.map, TYPES[x.dtype], self.stream,
        )  # fmt: skip

    def scatter(self, x: Array, region: Region, base: Array, y: Array) -> None:
        """region_scatter."""
        self.call(
            "lct_region_scatter", *_pointers(x, region.rows, region.count, base, y),
            region.max_rows, x.shape[1], region.map, TYPES[x.dtype], self.stream,
        )  # fmt: skip

    def max_pool(self, x: Array, region: Region, y: Array, window: Sequence[int]) -> None:
        """region_max_pool; the window is kernel height and width, dilation height and width."""
        self.call(
            "lct_region_max_pool", *_pointers(x), x.shape[0],
            *_pointers(region.rows, region.index, region.count, y),
            region.max_rows, x.shape[1], region.map, (c_int32 * 4)(*window), TYPES[x.dtype],
            self.stream,
        )  # fmt: skip

    def quantize(self, x: Array, count: Array, y: Array, scale: float) -> None:
        """region_quantize."""
        self.call(
            "lct_region_quantize", *_pointers(x, count, y), *x.shape, c_float(scale),
            TYPES[x.dtype], self.stream,
        )  # fmt: skip

    def conv(
        self, segments: Sequence[tuple[Array, int, int]], region: Region, weight: Array,
        bias: Array, residual: Array | None, y: Array, *, window: Sequence[int],
        scale: float = 1.0, relu: bool = False, layout: int = 0, tactic: int = 0,
        scales: Array | None = None, factor: float = 1.0,
    ) -> None:  # fmt: skip
        """region_conv; a segment is a matrix and the channels, from and to, that are read.

        INT8 has ``scales``, one an output channel, and ``factor`` for the residual.
        """
        dtype = weight.dtype
        parts = (_Segment * len(segments))(
            *(
                _Segment(x.pointer + begin * dtype.itemsize, x.shape[1], end - begin)
                for x, begin, end in segments
            )
        )
        conv = _Conv(
            parts, len(segments), segments[0][0].shape[0], region.rows.pointer,
            region.index.pointer,
            region.count.pointer, region.max_rows, region.map, (c_int32 * 4)(*window),
            weight.pointer, bias.pointer, None if residual is None else residual.pointer,
            y.pointer, y.shape[1], scale, relu, None if scales is None else scales.pointer, factor,
            TYPES[dtype], TYPES[bias.dtype], TYPES[(y if residual is None else residual).dtype],
            TYPES[y.dtype], layout, tactic,
        )  # fmt: skip
        self.call("lct_region_conv", byref(conv), self.stream)

    def conv_tactics(self, dtype: Any) -> int:
        """How many variants region_conv has."""
        return int(self.library.lct_region_conv_tactics(TYPES[np.dtype(dtype)]))

    # --- plugins -------------------------------------------------------------------------------

    @property
    def has_plugins(self) -> bool:
        """Whether TensorRT's headers were there when the harness was built."""
        return hasattr(self.library, "lct_plugins_open")

    def open_plugins(self, path: Path) -> list[str]:
        """Load a plugin library; the names of its plugins."""
        names = ctypes.create_string_buffer(1024)
        self.call("lct_plugins_open", str(path).encode(), names, c_size_t(1024))
        return names.value.decode().split()

    def fields(self, name: str) -> dict[str, tuple[int, int]]:
        """Type and length of each attribute that a plugin's creator announces, by name."""
        fields, count = POINTER(Field)(), c_int32()
        self.call("lct_plugin_fields", name.encode(), byref(fields), byref(count))
        announced = (fields[i] for i in range(count.value))
        return {field.name.decode(): (field.type, field.length) for field in announced}

    def plugin(self, name: str, attributes: Mapping[str, Any] | None = None) -> Plugin:
        """Make a plugin as the ONNX parser would: ints as int32, floats as float32."""
        values = {key: _attribute(value) for key, value in (attributes or {}).items()}
        return self.plugin_from_values(name, values, phase=0)

    def plugin_from_values(self, name: str, values: Mapping[str, np.ndarray], phase: int) -> Plugin:
        """Make a plugin from fields of these types; phase 1 is that of an engine being loaded."""
        fields = (Field * len(values))(
            *(
                Field(key.encode(), v.ctypes.data, FIELD_TYPES[str(v.dtype)], v.size)
                for key, v in values.items()
            )
        )
        handle = c_void_p()
        self.call("lct_plugin_create", name.encode(), fields, len(values), phase, byref(handle))
        return Plugin(self, handle)


class Graph:
    """A captured CUDA graph."""

    def __init__(self, harness: Harness) -> None:
        self.harness, self.handle = harness, c_void_p()

    def replay(self) -> None:
        """Launch it."""
        self.harness.call("lct_graph_launch", self.handle, self.harness.stream)

    def __del__(self) -> None:
        if self.handle:
            self.harness.library.lct_graph_destroy(self.handle)


class Plugin:
    """A plugin object, driven as TensorRT drives one. Tensors are `tensor(...)` descriptions."""

    def __init__(self, harness: Harness, handle: c_void_p) -> None:
        self.harness, self.handle = harness, handle

    def __del__(self) -> None:
        self.harness.library.lct_plugin_destroy(self.handle)

    def call(self, name: str, *arguments: Any) -> None:
        self.harness.call(f"lct_plugin_{name}", self.handle, *arguments)

    def identity(self) -> tuple[str, str, str, str]:
        """Name, version, namespace and metadata."""
        texts = [c_char_p() for _ in range(4)]
        self.call("identity", *(byref(t) for t in texts))
        name, version, namespace, metadata = ((t.value or b"").decode() for t in texts)
        return name, version, namespace, metadata

    def clone(self) -> Plugin:
        handle = c_void_p()
        self.call("clone", byref(handle))
        return Plugin(self.harness, handle)

    def serialised(self) -> dict[str, np.ndarray]:
        """The values of the attributes as they are written into an engine, by name."""
        fields, count = POINTER(Field)(), c_int32()
        self.call("serialise", byref(fields), byref(count))
        kinds = {number: np.dtype(name) for name, number in FIELD_TYPES.items()}
        values = {}
        for field in (fields[i] for i in range(count.value)):
            size = kinds[field.type].itemsize * field.length
            data = ctypes.string_at(field.data, size)
            values[field.name.decode()] = np.frombuffer(data, kinds[field.type])
        return values

    def reloaded(self) -> Plugin:
        """What TensorRT makes of the serialised fields when it loads an engine."""
        return self.harness.plugin_from_values(self.identity()[0], self.serialised(), phase=1)

    def output_types(self, types: Sequence[int]) -> list[int]:
        out, count = (c_int32 * 8)(), c_int32()
        self.call("output_types", (c_int32 * len(types))(*types), len(types), out, byref(count))
        return list(out[: count.value])

    def output_shapes(self, tensors: Sequence[Tensor], outputs: int) -> list[tuple[int, ...]]:
        out = (Tensor * outputs)()
        self.call("output_shapes", _tensors(tensors), len(tensors), out, outputs)
        return [tuple(t.sizes[: t.rank]) for t in out]

    def supports(self, at: int, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
        answer = c_int32()
        both = _tensors([*inputs, *outputs])
        self.call("supports", at, both, len(inputs), len(outputs), byref(answer))
        return bool(answer.value)

    def configure(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.call("configure", _tensors(inputs), len(inputs), _tensors(outputs), len(outputs))

    def tactics(self) -> list[int]:
        out, count = (c_int32 * 16)(), c_int32(16)
        self.call("tactics", out, byref(count))
        return list(out[: count.value])

    def set_tactic(self, tactic: int) -> None:
        self.call("set_tactic", tactic)

    def shape_change(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.call("shape_change", _tensors(inputs), len(inputs), _tensors(outputs), len(outputs))

    def enqueue(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """On linear tensors, without the shape change that must come before."""
        pointers = [(c_void_p * len(g))(*(a.pointer for a in g)) for g in (inputs, outputs)]
        descriptions = [_tensors([tensor_of(a) for a in g]) for g in (inputs, outputs)]
        self.call(
            "enqueue", descriptions[0], len(inputs), descriptions[1], len(outputs),
            pointers[0], pointers[1], self.harness.stream,
        )  # fmt: skip

    def run(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Shape change and enqueue."""
        self.shape_change([tensor_of(a) for a in inputs], [tensor_of(a) for a in outputs])
        self.enqueue(inputs, outputs)


def tensor(dtype: int, *sizes: int, layout: int = LINEAR) -> Tensor:
    """A description with TensorRT's numbers."""
    return Tensor(dtype, layout, len(sizes), (c_int64 * 8)(*sizes))


def tensor_of(array: Array) -> Tensor:
    """The description of a device array."""
    return tensor(TENSOR_TYPES[str(array.dtype)], *array.shape)


def _tensors(tensors: Sequence[Tensor]) -> Any:
    return (Tensor * len(tensors))(*tensors)


def _pointers(*arrays: Array) -> list[c_void_p]:
    return [c_void_p(a.pointer) for a in arrays]


def _attribute(value: Any) -> np.ndarray:
    array = np.atleast_1d(np.asarray(value))
    if array.dtype == np.int64:
        return array.astype(np.int32)
    return array.astype(np.float32) if array.dtype == np.float64 else array
