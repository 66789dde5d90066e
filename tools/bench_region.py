"""Benchmark region convolution on the CPU: dense, in standard operators, and in the native library.

    cmake -S plugins/cpu -B build/cpu && cmake --build build/cpu
    LC_TRT_CPU_LIBRARY=build/cpu/liblc_trt_cpu.so python tools/bench_region.py \
        [--channels 32,64] [--shares 5,25,100] [--threads 2] [--rounds 25] [--out FILE.json]

Each lane is a chain of 3x3 convolutions with ReLU, C to C channels, in FP32, bf16 and INT8, run by
OpenVINO on the whole map (dense), by OpenVINO on the region's rows as a Gather and a MatMul
(standard), and by a region program (native), whose time includes selecting the region, its
neighbour table, and taking its rows out of an FP32 map. Regions are blobs, another one each round.
Lanes of one C are interleaved. Times are per convolution; the first figure is the median, the
second the minimum. Results of the native program are compared with the standard ones first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from onnx import TensorProto, helper, numpy_helper
from openvino.preprocess import PrePostProcessor

from lc_trt.cli.command_line import command_line
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.engines.openvino import core
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import BUILD_COMMAND, NativeLibrary, Pool, find_library
from lc_trt.runtime.native.program import Program, ProgramBuilder
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import write_json
from lc_trt.utils.machine import usable_cores
from lc_trt.utils.timing import Lane, measure, milliseconds

CHANNELS, SHARES = (32, 64, 128, 192, 320, 512, 1088), (5, 10, 25, 50, 75, 100)
PRECISIONS = ("fp32", "bf16", "int8")
DEPTH = 4  # convolutions of a chain: conversions at its ends are not the subject
REGIONS = 8
PADDED = 64  # OpenVINO compiles for each new number of rows
SCALE = 1 / 32  # of INT8 activations
ROW_TYPES = {"fp32": ElementType.F32, "bf16": ElementType.BF16, "int8": ElementType.U8}
Array = np.ndarray[Any, Any]


def size_of(channels: int) -> tuple[int, int]:
    """Height and width of the map, as such widths have them."""
    return (96, 128) if channels < 320 else (48, 64) if channels < 1088 else (38, 63)


@dataclass(frozen=True)
class Chain:
    """Weights of a chain of convolutions; INT8 ones are used as `weight * scale`."""

    channels: int
    weights: list[Array]
    bias: Array
    scale: float

    @classmethod
    def random(cls, channels: int) -> Chain:
        """Weights that keep the size of activations."""
        rng = np.random.default_rng(channels)
        shape = (channels, channels, 3, 3)
        weights = [rng.integers(-127, 128, shape).astype(np.int8) for _ in range(DEPTH)]
        bias = np.full(channels, 0.5, np.float32)
        return cls(channels, weights, bias, float(np.float32(1.5 / (127 * channels**0.5 * 3))))

    def real(self, layer: int) -> Array:
        """FP32 weights of a layer."""
        return self.weights[layer].astype(np.float32) * np.float32(self.scale)


def chain_model(chain: Chain, precision: str, *, dense: bool) -> bytes:
    """ONNX: dense x [1, C, h, w] -> y, or x [R, C] and table [R, 9] (row + 1, 0 for none) -> y."""
    c, int8 = chain.channels, precision == "int8"
    nodes, constants = [], {"zero_row": np.zeros((1, c), np.uint8 if int8 else np.float32)}
    constants |= {"bias": chain.bias, "shape": np.array([-1, 9 * c])}
    constants |= {"sx": np.float32(SCALE), "zx": np.uint8(0), "zw": np.int8(0)}
    constants["sw"] = np.float32(chain.scale)

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    x = "x"
    for i in range(DEPTH):
        w = f"w{i}"
        kernel = chain.weights[i] if int8 else chain.real(i)
        constants[w] = kernel if dense else kernel.transpose(2, 3, 1, 0).reshape(9 * c, c)
        if not dense:
            x = add("Gather", [add("Concat", ["zero_row", x], f"p{i}", axis=0), "table"], f"g{i}")
            x = add("Reshape", [x, "shape"], f"r{i}")
        if int8:
            x = add("DequantizeLinear", [x, "sx", "zx"], f"dx{i}")
            w = add("DequantizeLinear", [w, "sw", "zw"], f"dw{i}")
        if dense:
            x = add("Conv", [x, w, "bias"], f"c{i}", pads=[1, 1, 1, 1])
        else:
            x = add("Add", [add("MatMul", [x, w], f"m{i}"), "bias"], f"c{i}")
        x = add("Relu", [x], f"y{i}")
        if int8:
            x = add("QuantizeLinear", [x, "sx", "zx"], f"q{i}")
    kind = TensorProto.UINT8 if int8 else TensorProto.FLOAT
    shape = [1, c, *size_of(c)] if dense else ["R", c]
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    if not dense:
        inputs.append(helper.make_tensor_value_info("table", TensorProto.INT64, ["R", 9]))
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    outputs = [helper.make_tensor_value_info(x, kind, shape)]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, tensors)
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


def openvino_chain(model: bytes, precision: str, threads: int) -> ov.InferRequest:
    """A request; bf16 goes in and out as such."""
    network = core().read_model(model)
    if precision == "bf16":
        ends = PrePostProcessor(network)
        ends.input(0).tensor().set_element_type(ov.Type.bf16)
        ends.output(0).tensor().set_element_type(ov.Type.bf16)
        network = ends.build()
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }
    return core().compile_model(network, "CPU", settings).create_infer_request()


def native_chain(library: NativeLibrary, chain: Chain, precision: str) -> Program:
    """A program: x (float32 NHWC) and mask -> out [R, C]."""
    p, rows, size = ProgramBuilder(library), ROW_TYPES[precision], size_of(chain.channels)
    int8 = precision == "int8"
    region = p.mask("mask", size)
    x = p.map("x", size, chain.channels, element_type=rows, factor=1 / SCALE if int8 else 1.0)
    x = p.restrict(region, x)
    # Bias and sums are in units of the output's scale.
    scale = np.full(chain.channels, chain.scale, np.float32) if int8 else None
    for i in range(DEPTH):
        weight = chain.weights[i] if int8 else chain.real(i)
        bias = chain.bias / np.float32(SCALE) if int8 else chain.bias
        x = p.conv(region, [x], weight, bias, scale=scale, relu=True, element_type=rows)
    p.export(x, "out", factor=SCALE if int8 else 1.0)
    return p.build()


@dataclass(frozen=True)
class RegionInput:
    """A region and what each implementation takes of it."""

    mask: Array
    table: Array  # row + 1, padded
    positions: Array
    count: int

    @classmethod
    def blobs(cls, size: tuple[int, int], share: int, seed: int) -> RegionInput:
        """A share of the pixels, in blobs."""
        h, w = size
        y, x = np.mgrid[0:h, 0:w]
        a, b, c = np.random.default_rng(seed).random(3) * 6
        height = np.sin(x / 17 + a) + np.cos(y / 13 + b) + 0.3 * np.sin(x / 5 + y / 7 + c)
        order = np.argsort(height, axis=None, kind="stable")
        mask = np.zeros(h * w, bool)
        mask[order[: max(1, h * w * share // 100)]] = True
        index = np.zeros((h + 2, w + 2), np.int64)
        index[1:-1, 1:-1] = np.where(mask, mask.cumsum(), 0).reshape(h, w)
        positions = np.flatnonzero(mask)
        count = len(positions)
        # An existing row again: its results are written twice.
        padded = np.resize(positions, -(-count // PADDED) * PADDED)
        padded[count:] = positions[0]
        yx = np.divmod(padded, w)
        taps = [index[yx[0] + i, yx[1] + j] for i in range(3) for j in range(3)]
        return cls(mask.reshape(1, h, w), np.stack(taps, 1), padded, count)


def typed(values: Array, precision: str) -> Array:
    """Values as OpenVINO takes them."""
    if precision == "int8":
        return np.rint(values / np.float32(SCALE)).clip(0, 255).astype(np.uint8)
    return values.astype(ROW_TYPES[precision].dtype)


def infer(request: ov.InferRequest, *arrays: Array) -> Callable[[], object]:
    """A pass whose inputs are not copied."""
    tensors = []
    for array, port in zip(arrays, request.model_inputs, strict=True):
        if port.get_element_type() == ov.Type.bf16:
            tensors.append(ov.Tensor(array.view(np.uint16), array.shape, ov.Type.bf16))
        else:
            tensors.append(ov.Tensor(array, shared_memory=True))

    def run() -> object:
        for number, tensor in enumerate(tensors):
            request.set_input_tensor(number, tensor)
        return request.infer()

    return run


class Bench:
    """Lanes of one number of channels."""

    def __init__(
        self, library: NativeLibrary, pool: Pool, channels: int, shares: list[int]
    ) -> None:
        self.pool, self.chain, self.size = pool, Chain.random(channels), size_of(channels)
        rng = np.random.default_rng(1)
        self.x = rng.random((1, *self.size, channels)).astype(np.float32)
        self.out = np.zeros((self.size[0] * self.size[1], channels), np.float32)
        self.regions = {
            s: [RegionInput.blobs(self.size, s, seed) for seed in range(REGIONS)] for s in shares
        }
        self.lanes: dict[tuple[str, str, int], Lane[object]] = {}
        for precision in PRECISIONS:
            self._add(library, precision)

    def _add(self, library: NativeLibrary, precision: str) -> None:
        threads = self.pool.threads
        dense = openvino_chain(chain_model(self.chain, precision, dense=True), precision, threads)
        nchw = np.ascontiguousarray(typed(self.x, precision).transpose(0, 3, 1, 2))
        run_dense = infer(dense, nchw)
        self.lanes["dense", precision, 100] = Lane("", lambda _: run_dense())
        standard = openvino_chain(
            chain_model(self.chain, precision, dense=False), precision, threads
        )
        program = native_chain(library, self.chain, precision)
        rows = typed(self.x, precision).reshape(-1, self.chain.channels)
        for share, regions in self.regions.items():
            runs = [infer(standard, rows[r.positions], r.table) for r in regions]
            natives = [{"x": self.x, "mask": r.mask, "out": self.out} for r in regions]
            self.lanes["standard", precision, share] = Lane(
                "", lambda number, runs=runs: runs[number % REGIONS]()
            )
            self.lanes["native", precision, share] = Lane(
                "",
                lambda number, natives=natives, p=program: p.run(
                    self.pool, natives[number % REGIONS]
                ),
            )
            self._compare(precision, share, standard, regions[0].count)

    def _compare(self, precision: str, share: int, request: ov.InferRequest, count: int) -> None:
        """Raises if standard and native results are not those of one network."""
        self.lanes["standard", precision, share].run(0)
        tensor = request.get_output_tensor(0)
        expected = np.array(tensor.data)
        if precision == "bf16":
            expected = expected.view(ROW_TYPES["bf16"].dtype)
        expected = expected[:count].astype(np.float32) * (SCALE if precision == "int8" else 1)
        self.lanes["native", precision, share].run(0)
        # A step of INT8 or of bf16, several times.
        allowed = {"fp32": 1e-4, "bf16": 0.05, "int8": 2.5 * SCALE}[precision]
        difference = float(np.abs(self.out[:count] - expected).max() / max(expected.max(), 1))
        if not difference <= allowed or not expected.std() > 0.01:
            raise LcTrtError(
                f"{precision}, {self.chain.channels} channels: native results differ from "
                f"OpenVINO's by {difference:.2g} of the largest, expected at most {allowed}"
            )

    def rows(self) -> list[dict[str, Any]]:
        """Milliseconds per convolution, and native over dense, by precision and share."""
        found = []
        for (kind, precision, share), lane in self.lanes.items():
            if kind != "native":
                continue
            row: dict[str, Any] = {"channels": self.chain.channels, "size": self.size}
            row |= {"precision": precision, "share": share}
            lanes = {
                "dense": self.lanes["dense", precision, 100],
                "standard": self.lanes["standard", precision, share],
                "native": lane,
            }
            for name, timed_lane in lanes.items():
                times = np.array(timed_lane.times) / DEPTH
                row[name] = {"median": float(np.median(times)), "minimum": float(times.min())}
            for name in ("median", "minimum"):
                row[f"native_over_dense_{name}"] = row["native"][name] / row["dense"][name]
            pixels = self.regions[share][0].count
            work = 18 * self.chain.channels**2 * pixels / 1e6
            row["native_gflops"] = work / row["native"]["minimum"]
            found.append(row)
        return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| channels | precision | share | dense ms | standard ms | native ms | native / dense "
        "| GFLOP/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = [
            f"{row[kind]['median']:.3f} ({row[kind]['minimum']:.3f})"
            for kind in ("dense", "standard", "native")
        ]
        ratios = f"{row['native_over_dense_median']:.2f} ({row['native_over_dense_minimum']:.2f})"
        lines.append(
            f"| {row['channels']} | {row['precision']} | {row['share']} % | {' | '.join(times)} "
            f"| {ratios} | {row['native_gflops']:.0f} |"
        )
    return "\n".join(lines)


def peak(seconds: float) -> dict[str, float]:
    """GFLOP/s of a core by precision (tools/cpu_peak.py)."""
    command = [sys.executable, Path(__file__).with_name("cpu_peak.py"), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"no peak: {done.stderr.strip()}", file=sys.stderr)
        return {}
    return {r["precision"]: r["gflops_per_core"] for r in json.loads(done.stdout)["rows"]}


def processor_milliseconds(work: Callable[[], object]) -> float:
    """The processor time of a call."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(word) for word in text.split(",")]  # noqa: E731
    parser.add_argument("--channels", type=numbers, default=list(CHANNELS))
    parser.add_argument("--shares", type=numbers, default=list(SHARES), help="percent")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument(
        "--cpu-time", action="store_true", help="processor time, for one thread on a busy machine"
    )
    parser.add_argument("--peak-seconds", type=float, default=1.0, help="0: do not measure it")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args(arguments)
    if options.cpu_time and options.threads != 1:
        raise UsageError("--cpu-time counts waiting threads too: expected --threads 1")
    timer = processor_milliseconds if options.cpu_time else milliseconds
    path = find_library()
    if path is None:
        raise UsageError(
            f"the native CPU library was not compiled; compile it ({BUILD_COMMAND}), "
            "and set LC_TRT_CPU_LIBRARY=build/cpu/liblc_trt_cpu.so"
        )
    library = NativeLibrary(path)
    environment = describe_environment(options.threads)
    peaks = peak(options.peak_seconds) if options.peak_seconds else {}
    rows = []
    with Pool(library, options.threads) as pool:
        for channels in options.channels:
            bench = Bench(library, pool, channels, options.shares)
            measure([list(bench.lanes.values())], options.rounds, warmup=2, timer=timer)
            rows += bench.rows()
            print(f"{channels} channels done", file=sys.stderr)
    kernels = {name: library.conv_isa(kind) for name, kind in ROW_TYPES.items()}
    print(f"{environment['cpu']}, {options.threads} threads, kernels {kernels}, peak {peaks}\n")
    print(table(rows))
    if options.out is not None:
        result = {
            "clock": "processor" if options.cpu_time else "wall",
            "rows": rows,
            "kernels": kernels,
            "peak_gflops_per_core": peaks,
        }
        command = command_line("python tools/bench_region.py", sys.argv[1:])
        write_json(options.out, result | {"environment": environment, "command": command})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LcTrtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
