"""The GPU benches' logic, on the emulator and with a clock of the test's own."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from gpubench.masks import mask
from gpubench.roofline import Rates, bound
from gpubench.shapes import Layer
from gpubench.timing import Budget, interleave, median
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.errors import LcTrtError
from lc_trt.ir.cost import StageMacs

LAYER = Layer(((16, 0, 16), (24, 8, 16)), 16, (1, 3, 1, 2), True, True)


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


def test_a_layer_s_floor_is_its_slower_rate():
    rows, weights = 100, 3 * 24 * 16
    fast = bound(LAYER, rows, Rates(1e12, 1e30, ""))
    assert fast.limit == "arithmetic"
    assert fast.flops == 2 * rows * weights
    assert fast.ms == pytest.approx(2 * rows * weights / 1e9)
    slow = bound(LAYER, rows, Rates(1e30, 1e12, ""))
    assert slow.limit == "memory"
    assert slow.data == 2 * (rows * (24 + 16 + 16) + weights)
    assert slow.ms == pytest.approx(slow.data / 1e9)


def test_turns_rotate_and_warm_up(fake_backend):
    seen = []
    lanes = {name: lambda name=name: seen.append(name) or len(seen) for name in "ab"}
    times = interleave(fake_backend(iter([])), lanes, 2, 1, lambda i, name: seen.append((i, name)))
    # Another lane begins each round.
    assert seen[:8] == [(0, "a"), "a", (0, "b"), "b", (1, "b"), "b", (1, "a"), "a"]
    assert times == {"a": [8, 10], "b": [6, 12]}


def test_a_median_warms_up_first(fake_backend):
    values = iter([100.0, 1.0, 3.0, 2.0])
    assert median(fake_backend(iter([])), lambda: next(values), 3, copies=2) == 1.0


def test_a_budget_ends():
    clock = iter([0.0, 59.0, 60.0]).__next__
    budget = Budget(1.0, clock)
    assert not budget.spent
    assert budget.spent


@pytest.fixture(params=["float16", "bfloat16"])
def unit(request, gpu_tool):
    return gpu_tool("bench_kernels").Unit("tiny", (32, 40), 2, request.param, LAYER, 3, 0.5)


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


CODES = Layer(((32, 0, 32), (48, 16, 32)), 24, (1, 3, 1, 2), True, True)


@pytest.fixture
def int8_unit(gpu_tool):
    return gpu_tool("bench_kernels").Unit("tiny", (32, 40), 2, "int8", CODES, 3, 0.5)


def test_int8_is_checked_and_timed_beside_the_faster_dense(
    gpu_tool, kernels, int8_unit, fake_backend
):
    bench = gpu_tool("bench_kernels").Bench(int8_unit, kernels)
    times = iter([4.0, 3.0, 2.0, 1.5, 3.0, 2.5, 2.0])  # FP16, product, then tactics 0 to 4
    (row,) = bench.rows(fake_backend(times), (0.25,), ("clustered",), 2, 10)
    assert row["denses"] == {"conv": 4.0, "int8 product": 3.0}
    assert (row["ms"], row["ratio"]) == (1.5, 0.5)
    # One byte a value, at twice the rate of FP16: what the floor is made of.
    half = gpu_tool("bench_kernels").floor(CODES, 10, torch.float16)
    assert row["floor_ms"] == pytest.approx(half / 2)
    found = bench.buffers[-1][:10].float()
    assert 10 < found.std() < 50  # of codes that neither vanish nor saturate
    json.dumps(row)


def test_a_wrong_code_is_not_timed(gpu_tool, kernels, int8_unit, fake_backend):
    bench = gpu_tool("bench_kernels").Bench(int8_unit, kernels)
    bench.step.scale = bench.step.scale * 1.02
    expected, right = bench.expected, bench.step.scale / 1.02

    def reference():
        bench.step.scale, wrong = right, bench.step.scale
        value = expected()
        bench.step.scale = wrong
        return value

    bench.expected = reference
    with pytest.raises(LcTrtError, match=r"int8 .*tactic 0 is off by .*expected at most 1e-03"):
        next(bench.rows(fake_backend(iter([])), (0.5,), ("clustered",), 1, 1))


def test_quantised_steps_are_the_step_up_to_its_codes():
    from gpubench.int8 import codes, quantised
    from gpubench.plan import ConvStep, Part

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 1, 1, 16, generator=generator)
    weight[2] = 0  # a channel that was pruned
    x, residual = torch.randn(9, 16, generator=generator), torch.randn(9, 5, generator=generator)
    bias = torch.randn(5, generator=generator)
    step = ConvStep("a", (Part(0, 0, 16),), weight, bias, (1, 1, 1, 1), False, 1, 2)
    int8 = quantised(step, 0.03, 0.08, 0.04)
    assert int8.weight.abs().flatten(1).amax(1).tolist() == [127, 127, 0, 127, 127]
    sums = codes(x, 0.03).float() @ int8.weight.view(5, 16).float().t()
    found = sums * int8.scale + int8.bias + int8.factor * codes(residual, 0.04)
    expected = (x @ weight.view(5, 16).t() + bias + residual) / 0.08
    assert (found - expected).abs().max() < 2


@pytest.mark.parametrize(("rows", "depth", "channels"), [(40, 24, 16), (3, 9, 21)])
def test_a_dense_product_has_the_convolution_s_size(rows, depth, channels):
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


def test_a_cut_off_run_is_taken_up(gpu_tool, tmp_path, monkeypatch):
    bench = gpu_tool("bench_kernels")
    monkeypatch.setattr(bench, "region_layers", lambda preset: {LAYER: 2, THIN: 1})
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


THIN = Layer(((8, 0, 8),), 8, (1, 1, 1, 1), False, False)


class FakeBench:
    def __init__(self, unit):
        self.unit = unit

    def rows(self, *arguments):
        yield {"ms": 1.0, "key": self.unit.key}


def test_rows_of_a_network(gpu_tool):
    """Speed-ups are paired by round and over the fastest dense row."""
    macs = StageMacs(stage1=10, head1=2, stage2=40, head2=4, stage3=40, head3=10)
    times = {
        "dense (fused)": [4.0, 8.0, 4.0], "dense (plain)": [5.0, 9.0, 5.0],
        "LC": [2.0, 4.0, 2.0], "vgg16": [10.0, 10.0, 10.0],
    }  # fmt: skip
    left = {"LC": [(0.5, 0.25, 0.25), (0.5, 0.25, 0.25)]}
    rows = {r["name"]: r for r in gpu_tool("bench_network").rows_of(times, left, 8, macs)}
    lc = rows["LC"]
    assert lc["reference"] == "dense (fused)"
    assert lc["speedup"] == 2.0
    assert lc["images_per_second"] == 4000
    assert lc["ceiling"] == pytest.approx(100 / (12 + 0.5 * 44 + 0.25 * 50))
    assert lc["reached"] == pytest.approx(2.0 / lc["ceiling"])
    assert (lc["goal"], lc["met"], lc["published_fps"]) == (0.9, True, 14.7)
    assert rows["vgg16"]["published_fps"] == 5.7
    assert rows["dense (plain)"]["ceiling"] is None


def test_a_network_is_checked_and_measured(gpu_tool, kernels, fake_backend):
    from tiny_networks import frames, tiny_cascade, to_input

    from lc_trt.model.cascade import Dense

    bench, model = gpu_tool("bench_network"), tiny_cascade("irnet", "plain")
    size, dtype = (16, 24), torch.float32
    dense = Dense(model.stages, model.heads[2], model.classes)
    macs = StageMacs(stage1=10, head1=2, stage2=40, head2=4, stage3=40, head3=10)
    found = bench.measure(
        1, size, model, dense, {"other": dense}, macs, kernels,
        fake_backend(itertools.cycle([1.0, 2.0])),
        [to_input(frames(1, size))], 2, 1, dtype,
    )  # fmt: skip
    assert "fused" not in {row["name"] for row in found["rows"]}
    assert "cudnn" in found["fused_refused"]
    assert found["error"] < 1e-5
    names = {row["name"] for row in found["rows"]}
    assert names == {"dense (plain)", "other", "LC", "LC fast", "all pixels"}
    everything = next(row for row in found["rows"] if row["name"] == "all pixels")
    assert everything["shares"] == [0.0, 0.0, 1.0]
    assert everything["goal"] is None
    json.dumps(found)


def test_kernels_that_differ_are_not_timed(gpu_tool, kernels, monkeypatch):
    from gpubench.network import Frames

    bench = gpu_tool("bench_network")
    monkeypatch.setattr(bench, "disagreement", lambda *arguments: 0.5)
    monkeypatch.setattr(bench, "rounding", lambda *arguments: 0.1)
    model = torch.nn.Linear(1, 1)
    cascade = type("Cascade", (), {"rho": torch.ones(2)})()
    with pytest.raises(LcTrtError, match=r"off by 5\.00e-01 at rho \(1\.0, 1\.0\), .* 2\.00e-01"):
        bench.check(cascade, model, Frames([torch.ones(1)], {}))


def test_random_networks_are_calibrated(gpu_tool):
    """Without it a residual network's activations leave FP16 after some thirty blocks."""
    from gpubench.network import calibrate

    from lc_trt.model.cascade import Dense
    from lc_trt.model.layers import Chain, Conv, Residual
    from lc_trt.model.presets import initialise

    torch.manual_seed(0)
    blocks = [Residual(Conv(8, 8), Conv(8, 8, relu=False), scale=1.0) for _ in range(33)]
    network = initialise(Dense([Chain(blocks)], Chain([Conv(8, 5, norm=False, relu=False)]), 5))
    x = torch.randn(1, 8, 6, 7)
    calibrate(network, x)
    with torch.no_grad():
        assert network.stages[0](x).abs().max() < 1e3
    assert not any(module.training for module in network.modules())
