"""`lc-trt build --reuse` and `lc-trt run --reuse` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from tiny_networks import CLASSES, INFO, frames, middle_rho, session, tiny_model
from toy_models import toy_bundle

from lc_trt.bundle.bundle import read_bundle
from lc_trt.cli.app import main
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cascade built with reuse."""
    folder = tmp_path_factory.mktemp("reuse")
    source = tiny_model()
    onnx.save(source, folder / "m.onnx")
    rho = ",".join(map(str, middle_rho(session(source), frames(1, INFO.size))))
    words = ["--reuse", "--rho", rho, "--backend", "openvino", "-o", str(folder / "m.lct")]
    assert main(["build", str(folder / "m.onnx"), *words]) == 0
    return folder / "m.lct"


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """A folder of six equal pictures, and then another."""
    one, other = frames(2, INFO.size)
    folder = tmp_path / "still"
    folder.mkdir()
    for number in range(7):
        cv2.imwrite(str(folder / f"{number}.png"), other if number == 6 else one)
    return folder


def run(bundle: Path, source: Path, *words: str) -> int:
    return main(["run", str(bundle), "-s", str(source), "--threads", "1", "--json", *words])


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    assert main(list(words)) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_the_manifest_says_what_the_extra_inputs_are(bundle: Path) -> None:
    h, w = -(-INFO.size[0] // 8), -(-INFO.size[1] // 8)
    reuse = read_bundle(bundle).manifest.reuse
    assert reuse is not None
    assert reuse.inputs["past_probabilities"] == (1, CLASSES, h, w)
    assert reuse.inputs["past_features"][2:] == reuse.inputs["past_stages"][1:] == (h, w)
    assert reuse.inputs["reuse"] == (2,)


def test_a_still_video_is_computed_once(
    bundle: Path, still: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, still, "--reuse") == 0
    *lines, last = map(json.loads, capfd.readouterr().out.splitlines())
    hard = [1 - line["shares"][0] for line in lines]
    assert [line["computed"] for line in lines] == pytest.approx(
        [hard[0], 0, 0, 0, 0, 0, hard[6]], abs=1e-3
    )
    assert [line["reused"] for line in lines] == pytest.approx([0, *hard[1:6], 0], abs=1e-3)
    summary = last["summary"]
    assert summary["computed"] == pytest.approx(np.mean([x["computed"] for x in lines]), abs=1e-3)
    assert summary["reused"] == pytest.approx(np.mean([x["reused"] for x in lines]), abs=1e-3)


def test_several_sources_have_a_state_each(
    bundle: Path, still: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for number in range(3):
        cv2.imwrite(str(other / f"{number}.png"), frames(3, INFO.size)[2])
    assert run(bundle, still, "-s", str(other), "--frames", "3", "--reuse") == 0
    *lines, _ = map(json.loads, capfd.readouterr().out.splitlines())
    # One of each in turns: with one state for both, each would be a scene cut.
    assert [line["name"] for line in lines] == ["0", "0", "1", "1", "2", "2"]
    assert [line["reused"] > 0 for line in lines] == [False, False, True, True, True, True]


def test_inspect_says_so(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle)]) == 0
    assert "built for it" in capfd.readouterr().out


def test_every_n_frames_and_the_tolerance(
    bundle: Path, still: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, still, "--reuse", "--reuse-every", "2", "--reuse-tolerance", "9") == 0
    *lines, _ = map(json.loads, capfd.readouterr().out.splitlines())
    # With so large a tolerance the other picture would not even be seen as another.
    assert [line["reused"] == 0 for line in lines] == [True, False] * 3 + [True]
    assert run(bundle, still, "--reuse", "--reuse-tolerance", "9") == 0
    *lines, _ = map(json.loads, capfd.readouterr().out.splitlines())
    assert lines[6]["reused"] > 0


def test_without_the_option_nothing_is_reused(
    bundle: Path, still: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, still) == 0
    *lines, last = map(json.loads, capfd.readouterr().out.splitlines())
    assert not any("reused" in line for line in (*lines, last["summary"]))
    words = ["-s", str(still), "-o", str(tmp_path / "o"), "--threads", "1"]
    assert main(["run", str(bundle), *words]) == 0
    assert "kept" not in capfd.readouterr().out
    assert main(["run", str(bundle), *words, "--reuse"]) == 0
    assert "stages 2 and 3 computed" in capfd.readouterr().out


def test_what_does_not_go_is_refused(
    still: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = toy_bundle(tmp_path / "toy.lct", backend="onnxruntime").path
    source = ["-s", str(still)]
    assert "lc-trt build MODEL.onnx --reuse" in refused(
        capfd, "run", str(other), *source, "--reuse"
    )
    assert not list(tmp_path.glob("still_*")), "refused before anything was written"
    assert "belong to --reuse" in refused(capfd, "run", str(other), *source, "--reuse-every", "9")
    onnx.save(run_passes(tiny_model(), [ToDense()]), tmp_path / "dense.onnx")
    words = ["build", str(tmp_path / "dense.onnx"), "--reuse", "--backend", "openvino"]
    assert "dense network" in refused(capfd, *words)
