"""The GPU benches' logic, on the emulator and with a clock of the test's own."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from gpubench.layers import Layer
from gpubench.masks import mask
from gpubench.roofline import Rates, bound
from gpubench.timing import Budget, median
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.errors import LcTrtError

WINDOW = (1, 3, 1, 2)


def layer(kind="float16", output=None, residual=None, segments=((16, 0, 16), (24, 8, 16)), out=16):
    return Layer(segments, out, WINDOW, True, residual or kind, kind, output or kind)


LAYER = layer()


@given(
    kind=st.sampled_from(["clustered", "scattered"]),
    share=st.floats(0, 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_a_mask_has_exactly_its_share(kind, share, shape, seed):
    found = mask(kind, share, shape, seed)
    assert found.shape == shape
    assert found.sum() == round(share * np.prod(shape))


def test_clusters_have_neighbours():
    def together(kind):
        found = mask(kind, 0.25, (2, 38, 63))
        return (found[:, :, 1:] & found[:, :, :-1]).sum() / found.sum()

    assert together("clustered") > 0.6 > 0.4 > together("scattered")


def test_the_floor_of_a_layer_is_its_slower_rate():
    rows, weights = 100, 3 * 24 * 16
    fast = bound(LAYER, rows, Rates(1e12, 1e30, ""))
    assert fast.limit == "arithmetic"
    assert fast.flops == 2 * rows * weights
    assert fast.ms == pytest.approx(2 * rows * weights / 1e9)
    slow = bound(LAYER, rows, Rates(1e30, 1e12, ""))
    assert slow.limit == "memory"
    assert slow.data == 2 * (rows * (24 + 16 + 16) + weights)
    assert slow.ms == pytest.approx(slow.data / 1e9)
    int8 = bound(layer("int8", "float16"), rows, Rates(1e30, 1e12, ""))
    assert int8.data == rows * (24 + 16 + 2 * 16) + weights
    assert bound(layer("int8"), rows, Rates(1e12, 1e30, "")).ms == fast.ms / 2


def test_a_median_warms_up_first(fake_backend):
    values = iter([100.0, 1.0, 3.0, 2.0])
    assert median(fake_backend(iter([])), lambda: next(values), 3, copies=2) == 1.0


def test_a_budget_is_spent():
    clock = iter([0.0, 59.0, 60.0]).__next__
    budget = Budget(1.0, clock)
    assert not budget.spent
    assert budget.spent


@pytest.fixture(params=["float16", "bfloat16"])
def unit(request, gpu_tool):
    tiny = layer(request.param)
    return gpu_tool("bench_kernels").Unit("tiny", (32, 40), 2, request.param, tiny, 3, 0.5)


def test_a_layer_is_checked_and_timed_for_every_region(gpu_tool, kernels, unit, fake_backend):
    bench = gpu_tool("bench_kernels")
    times = iter([4.0, 2.0, 1.5, 3.0, 2.5, 2.0])  # dense, then tactics 0 to 4
    rows = list(
        bench.Bench(unit, kernels).rows(
            fake_backend(times), (0.25, 1.0), ("clustered", "scattered"), 2, 10
        )
    )
    assert [(r["mask"], r["share"], r["rows"]) for r in rows] == [
        ("clustered", 0.25, 10), ("full", 1.0, 40), ("scattered", 0.25, 10),
    ]  # fmt: skip
    first, full, _ = rows
    assert first["ms"] == 1.5 and first["tactic"] == 1 and len(first["tactics"]) == 5
    assert first["ratio"] == 1.5 / 4.0
    assert first["tflops"] == pytest.approx(2 * 10 * 3 * 24 * 16 / 1.5e-3 / 1e12)
    assert not first["met"]  # 1.5 > 0.25 * 4 / 0.9
    assert full["met"]  # 1.5 < 1.1 * 4
    json.dumps(rows)


def wide(output="int8", residual="int8"):
    return layer("int8", output, residual, ((32, 0, 32), (48, 16, 32)), 24)


@pytest.fixture
def int8_unit(gpu_tool):
    return gpu_tool("bench_kernels").Unit("tiny", (32, 40), 2, "int8", wide(), 3, 0.5)


def test_int8_is_checked_and_timed_beside_the_faster_dense(
    gpu_tool, kernels, int8_unit, fake_backend
):
    bench = gpu_tool("bench_kernels").Bench(int8_unit, kernels)
    times = iter([4.0, 3.0, 2.0, 1.5, 3.0, 2.5, 2.0])  # FP16, product, then tactics 0 to 4
    (row,) = bench.rows(fake_backend(times), (0.25,), ("clustered",), 2, 10)
    assert row["denses"] == {"conv": 4.0, "int8 product": 3.0}
    assert (row["ms"], row["ratio"]) == (1.5, 0.5)
    # One byte per value, at twice the rate of FP16: what the floor is made of.
    half = layer("float16", segments=wide().segments, out=24)
    assert row["floor_ms"] == pytest.approx(gpu_tool("bench_kernels").floor(half, 10) / 2)
    found = bench.conv.y[:10].float()
    assert 10 < found.std() < 50  # of integers that neither vanish nor saturate
    json.dumps(row)


@pytest.mark.parametrize("residual", ["int8", "float16"])
def test_int8_that_gives_floating_point_is_checked(gpu_tool, kernels, fake_backend, residual):
    """As before a classifier: the residual is INT8 or in the result's type."""
    bench = gpu_tool("bench_kernels")
    unit = bench.Unit("tiny", (32, 40), 2, "int8", wide("float16", residual), 3, 0.5)
    measured = bench.Bench(unit, kernels)
    (row,) = measured.rows(fake_backend(itertools.cycle([1.0])), (0.25,), ("clustered",), 1, 1)
    assert row["layer"] == "1x3/1,2 32+16>24 +r float16"
    assert measured.conv.y.dtype == torch.float16
    assert 0.5 < measured.conv.y[:10].float().std() < 3


def test_a_wrong_integer_is_not_timed(gpu_tool, kernels, int8_unit, fake_backend):
    bench = gpu_tool("bench_kernels").Bench(int8_unit, kernels)
    bench.conv.scales = bench.conv.scales * 1.02
    expected, right = bench.expected, bench.conv.scales / 1.02

    def reference():
        bench.conv.scales, wrong = right, bench.conv.scales
        value = expected()
        bench.conv.scales = wrong
        return value

    bench.expected = reference
    with pytest.raises(LcTrtError, match=r"int8 .*tactic 0 is off by .*expected at most 1e-03"):
        next(bench.rows(fake_backend(iter([])), (0.5,), ("clustered",), 1, 1))


def test_a_quantized_convolution_is_the_same_up_to_rounding():
    from gpubench.int8 import quantize, quantized
    from gpubench.kernels import RegionConv, Rows

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 1, 1, 16, generator=generator)
    weight[2] = 0  # a channel that was pruned
    x, residual = torch.randn(9, 16, generator=generator), torch.randn(9, 5, generator=generator)
    bias = torch.randn(5, generator=generator)
    region = Rows.empty((1, 3, 3), torch.device("cpu"))
    conv = RegionConv(
        "a", [(x, 0, 16)], region, weight, bias, residual, torch.zeros(9, 5), (1, 1, 1, 1), False
    )
    int8 = quantized(conv, 0.03, 0.08, 0.04)
    assert int8.weight.abs().flatten(1).amax(1).tolist() == [127, 127, 0, 127, 127]
    sums = quantize(x, 0.03).float() @ int8.weight.view(5, 16).float().t()
    found = sums * int8.scales + int8.bias + int8.residual_factor * quantize(residual, 0.04)
    expected = (x @ weight.view(5, 16).t() + bias + residual) / 0.08
    assert (found - expected).abs().max() < 2


@pytest.mark.parametrize(("rows", "depth", "channels"), [(40, 24, 16), (3, 9, 21)])
def test_a_dense_product_has_the_size_of_the_convolution(rows, depth, channels):
    from gpubench.int8 import DenseProduct

    product = DenseProduct(rows, depth, channels, torch.device("cpu"))
    out = product()
    assert out.dtype == torch.int32
    assert out.shape[0] >= rows and out.shape[1] >= channels
    exact = product.patches.double() @ product.weight.double()
    assert torch.equal(out.double(), exact)


def test_a_wrong_result_is_not_timed(gpu_tool, kernels, unit, fake_backend, monkeypatch):
    monkeypatch.setattr(kernels, "conv", lambda *arguments: None)
    rows = gpu_tool("bench_kernels").Bench(unit, kernels).rows(
        fake_backend(iter([])), (0.5,), ("clustered",), 1, 1
    )  # fmt: skip
    with pytest.raises(LcTrtError, match="tactic 0 is off by nan"):
        next(rows)


def test_an_interrupted_run_resumes(gpu_tool, tmp_path, monkeypatch):
    bench = gpu_tool("bench_kernels")
    monkeypatch.setattr(bench, "preset_layers", lambda preset, kind: {LAYER: 2, THIN: 1})
    monkeypatch.setattr(bench, "Bench", lambda unit, kernels: FakeBench(unit))
    todo = bench.units(["tiny"], [(32, 40)], [1, 8], ["float16"])
    assert len(todo) == 4
    assert [u.part for u in todo] == sorted((u.part for u in todo), reverse=True)
    written = []
    clock = itertools.count(0.0, 25.0).__next__
    done = bench.measure(todo, None, None, Budget(1.0, clock), written.append)
    assert done == 2
    path = tmp_path / "kernels.jsonl"
    path.write_text("".join(json.dumps(w) + "\n" for w in written) + '{"finished": "cut o')
    assert bench.finished([path]) == {u.key for u in todo[:2]}


THIN = Layer(((8, 0, 8),), 8, (1, 1, 1, 1), False, None, "float16", "float16")


class FakeBench:
    def __init__(self, unit):
        self.unit = unit

    def rows(self, *arguments):
        yield {"ms": 1.0, "key": self.unit.key}
