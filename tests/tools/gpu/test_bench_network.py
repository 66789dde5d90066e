"""The bench of whole networks on a GPU: its rows, its checks, and what it needs."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys

import onnx
import pytest
import torch
from tiny_networks import frames, tiny_encoder_model, tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.errors import LcTrtError
from lc_trt.ir.cost import StageMacs


def test_rows_of_a_network():
    """Speed-ups are paired by round and over the fastest dense row."""
    from gpubench.speed_rows import rows_of

    macs = StageMacs(stage1=10, head1=2, stage2=40, head2=4, stage3=40, head3=10)
    times = {
        "dense (fused)": [4.0, 8.0, 4.0], "dense (plain)": [5.0, 9.0, 5.0],
        "LC": [2.0, 4.0, 2.0], "vgg16": [10.0, 10.0, 10.0],
    }  # fmt: skip
    left = {"LC": [(0.5, 0.25, 0.25), (0.5, 0.25, 0.25)]}
    rows = {r["name"]: r for r in rows_of(times, left, 8, macs)}
    lc = rows["LC"]
    assert lc["reference"] == "dense (fused)"
    assert lc["speedup"] == 2.0
    assert lc["images_per_second"] == 4000
    assert lc["ceiling"] == pytest.approx(100 / (12 + 0.5 * 44 + 0.25 * 50))
    assert lc["reached"] == pytest.approx(2.0 / lc["ceiling"])
    assert (lc["goal"], lc["met"], lc["published_fps"]) == (0.9, True, 14.7)
    assert rows["vgg16"]["published_fps"] == 5.7
    assert rows["dense (plain)"]["ceiling"] is None


@pytest.mark.parametrize("network", [tiny_model, tiny_encoder_model])
def test_a_network_is_checked_and_measured(gpu_tool, kernels, fake_backend, network):
    bench, source, size = gpu_tool("bench_network"), network(), (32, 40)
    other = run_passes(source, [ToDense()])
    found = bench.measure(
        bench.Networks(source, {"other": other}), bench.Setting(size, 1, "float32"),
        kernels, fake_backend(itertools.cycle([1.0, 2.0])), [frames(1, size)], 2, 1,
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


def test_kernels_that_differ_are_not_timed(gpu_tool, kernels, fake_backend):
    bench, source, size = gpu_tool("bench_network"), tiny_model("irnet", "plain"), (32, 40)
    conv = kernels.conv

    def wrong(conv_of, tactic=None):
        conv_of.residual_scale = 1.05
        conv(conv_of, tactic)

    kernels.conv = wrong
    with pytest.raises(LcTrtError, match=r"off by \d.* at rho \[1.0, 1.0\], .* 1\.00e-04"):
        bench.measure(
            bench.Networks(source, {}), bench.Setting(size, 1, "float32"), kernels,
            fake_backend(iter([])), [frames(1, size)], 2, 1,
        )  # fmt: skip


def test_a_file_takes_the_place_of_a_preset(gpu_tool, repository, tmp_path):
    bench = gpu_tool("bench_network")
    path = repository / "models" / "irnet-small-camvid" / "model.onnx"
    name, networks = bench.load(argparse.Namespace(model=path), torch.device("cpu"))
    assert name == "irnet-small-camvid" and not networks.baselines
    assert {n.op_type for n in networks.cascade.graph.node} >= {"RegionConv", "RegionScatter"}
    dense = tmp_path / "dense.onnx"
    onnx.save(run_passes(networks.cascade, [ToDense()]), dense)
    with pytest.raises(LcTrtError, match=r"dense\.onnx: a dense network, expected a cascade"):
        bench.load(argparse.Namespace(model=dense), torch.device("cpu"))


OTHERS = (
    "av", "cuda", "jinja2", "matplotlib", "onnxruntime", "openvino", "pydantic", "rich",
    "tensorboardX", "tensorrt", "tensorrt_rtx", "typer", "yaml",
)  # fmt: skip


def test_the_scripts_need_no_more_than_their_document_says(repository, tmp_path):
    """Neither an installation nor a runtime: here a prediction, and what a GPU's script loads."""
    tools = repository / "tools" / "gpu"
    program = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({OTHERS}))
sys.path.insert(0, {str(tools)!r})
import bench_kernels, bench_network
sys.argv = ["predict.py", "--preset", "irnet-small", "--type", "int8"]
runpy.run_path({str(tools / "predict.py")!r}, run_name="__main__")
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert not done.stderr
    assert done.stdout.startswith("irnet-small, 300x500, batch 8, int8, share 0.44 of 19152 pixels")
    assert "| **all** | 84 |" in done.stdout


def test_random_networks_are_calibrated(gpu_tool):
    """Without it a residual network's activations leave FP16 after some thirty blocks."""
    from gpubench.networks import calibrate

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
