"""A third runtime is one file, `toy_backend`, and a registration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from tiny_networks import INFO, frames, middle_rho, run, session, tiny_model
from toy_backend import FILE, ToyBackend

import lc_trt
from lc_trt.backends.registry import compile_options, registered
from lc_trt.bench.options import Options
from lc_trt.bench.suite import run_bench
from lc_trt.builder.build import build
from lc_trt.bundle.bundle import SOURCE, Bundle
from lc_trt.cli.app import main
from lc_trt.errors import LcTrtError, UsageError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """A cascade built for it; it is registered while the tests of this file run."""
    folder = tmp_path_factory.mktemp("toy")
    onnx.save(tiny_model(), folder / "model.onnx")
    with registered(ToyBackend()):
        yield build(folder / "model.onnx", folder / "m.lct", compile_options("toy"))


def test_it_is_built_and_compared_with_onnx_runtime(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.backend, manifest.backend_version) == ("toy", onnx.__version__)
    assert set(manifest.files) == {FILE, SOURCE} and "agrees" in manifest.check.summary


def test_it_is_loaded_and_segments(bundle: Bundle) -> None:
    reference, image = session(tiny_model()), frames(1, INFO.size)
    rho = middle_rho(reference, image)
    with lc_trt.load(bundle.path) as segmenter:
        assert segmenter.engine.backend == "toy"
        result = segmenter(image[0], rho=rho)
    assert (result.labels == run(reference, image, rho)["labels"][0]).mean() > 0.999


def test_it_is_benched_beside_the_others(bundle: Bundle) -> None:
    options = Options(rounds=2, warmup=0, threads=1, size=(32, 48), all_runners=True)
    report = run_bench(bundle.path, options)
    names = [row.name for row in report.rows]
    assert names[-3:] == ["dense (toy)", "LC", "LC fast"]
    assert {row.backend for row in report.rows[-2:]} == {"toy"}


def test_the_command_line_knows_it(bundle: Bundle, tmp_path: Path, capfd: object) -> None:
    model = bundle.path.parent / "model.onnx"
    out = tmp_path / "m.lct"
    assert main(["build", str(model), "--backend", "toy", "-o", str(out)]) == 0
    assert (out / FILE).is_file()


def test_what_it_does_not_have_is_refused(bundle: Bundle) -> None:
    model = bundle.path.parent / "model.onnx"
    with pytest.raises(LcTrtError, match="Toy has no fp16 arithmetic; build with --fp32"):
        build(model, "m.lct", compile_options("toy", precision="fp16"))
    with pytest.raises(UsageError, match=r"--reuse: engines of Toy keep no state"):
        build(model, "m.lct", compile_options("toy", reuse=True))
