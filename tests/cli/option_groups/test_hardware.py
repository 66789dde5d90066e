"""``--device`` of every subcommand that runs a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from fake_backends import FakeToolchain
from fake_cuda import FakeCuda
from fake_gpu import driver, toolchain, trt
from fake_tensorrt import fake_manifest, fake_plan
from tiny_networks import tiny_model
from toy_models import SIZE, bgr, toy_bundle

from lc_trt.bundle.bundle import PLAN, SOURCE, write_bundle
from lc_trt.cli.app import main
from lc_trt.utils.machine import Gpu

__all__ = ["driver", "toolchain", "trt"]
SECOND = Gpu("Fake 2", "8.6")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a bundle for the CPU, an ONNX, an image and a labelled one."""
    monkeypatch.chdir(tmp_path)
    toy_bundle(Path("cpu.lct"), backend="onnxruntime")
    onnx.save(tiny_model(), "tiny.onnx")
    for folder in ("images", "data/val/images", "data/val/labels"):
        Path(folder).mkdir(parents=True)
    for path in ("images/a.png", "data/val/images/a.png"):
        cv2.imwrite(path, bgr(255, 0, 200))
    cv2.imwrite("data/val/labels/a.png", np.full(SIZE, 3, np.uint8))
    return tmp_path


@pytest.fixture
def gpu(here: Path, toolchain: FakeToolchain) -> None:
    """Two GPUs, and a bundle for the second."""
    write_bundle(Path("gpu.lct"), fake_manifest(gpu=SECOND), {PLAN: fake_plan(), SOURCE: b"source"})


COMMANDS = {
    "run": ["run", "cpu.lct", "-s", "images/a.png"],
    "bench": ["bench", "cpu.lct", "--no-check"],
    "eval": ["eval", "cpu.lct", "--data", "data"],
    "compare": ["compare", "cpu.lct", "cpu.lct", "--images", "images"],
    "an ONNX": ["eval", "tiny.onnx", "--data", "data"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "--device 'gpu': expected cpu, cuda, cuda:N or a GPU's number"),
        ("cuda:", "--device 'cuda:': expected cpu, cuda, cuda:N or a GPU's number"),
        ("-1", "--device '-1': expected cpu, cuda, cuda:N or a GPU's number"),
        ("cuda:0", "lc-trt build MODEL.onnx --backend tensorrt"),
        ("1", "device cuda:1: "),
    ],
)
def test_a_wrong_device_is_one_line(
    here: Path, capfd: pytest.CaptureFixture[str], command: str, device: str, said: str
) -> None:
    before = sorted(here.rglob("*"))
    assert main([*COMMANDS[command], "--device", device]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and said in err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("command", ["run", "eval", "compare", "an ONNX"])
def test_a_bundle_of_the_cpu_takes_the_cpu(here: Path, command: str) -> None:
    words = COMMANDS[command]
    if command == "an ONNX":
        words = ["compare", "tiny.onnx", "tiny.onnx", "--images", "images"]
    assert main([*words, "--device", "cpu"]) == 0


@pytest.mark.parametrize("device", ["1", "cuda:1"])
def test_the_gpu_is_the_one_that_is_named(
    here: Path, gpu: None, driver: FakeCuda, capfd: pytest.CaptureFixture[str], device: str
) -> None:
    for words in (
        ["run", "gpu.lct", "-s", "images/a.png", "--save-labels", "l.npz"],
        ["eval", "gpu.lct", "--data", "data", "--json"],
        ["compare", "cpu.lct", "gpu.lct", "--images", "images", "--json"],
    ):
        assert main([*words, "--device", device]) == 0
        assert driver.primary == {1: 0}  # GPU 1 and no other, and let go of
    out = capfd.readouterr().out
    assert json.loads(out[out.rindex('{\n  "images"') :])["labels"] == 1


@pytest.mark.parametrize(
    ("device", "code", "said"),
    [
        (None, 1, "built for compute capability 8.6 (Fake 2), cuda:0 is Fake 1 with 8.9"),
        ("0", 1, "built for compute capability 8.6 (Fake 2), cuda:0 is Fake 1 with 8.9"),
        ("7", 2, "device cuda:7: expected cuda:0 to cuda:1, the GPUs that CUDA shows"),
        ("cpu", 2, "device cpu: expected cuda, cuda:N or a GPU's number"),
    ],
)
def test_a_gpu_that_is_not_there_or_not_the_plans_is_one_line(
    here: Path,
    gpu: None,
    capfd: pytest.CaptureFixture[str],
    device: str | None,
    code: int,
    said: str,
) -> None:
    given = ["--device", device] if device else []
    for words in (
        ["run", "gpu.lct", "-s", "images/a.png"],
        ["bench", "gpu.lct"],
        ["eval", "gpu.lct", "--data", "data"],
        ["compare", "cpu.lct", "gpu.lct", "--images", "images"],
    ):
        assert main([*words, *given]) == code
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and said in err
