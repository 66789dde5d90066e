"""What every backend checks before it compiles or opens, from its capabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from compilation import CPU_BACKENDS
from fake_backends import FakeToolchain
from toy_models import toy_bundle, toy_model

from lc_trt.backends.base import Compiled
from lc_trt.backends.load import open_onnx
from lc_trt.backends.registry import get_backend, names, registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.precision import Precision
from lc_trt.errors import UsageError
from lc_trt.trt.api import TensorRT
from lc_trt.trt.options import PlanOptions
from lc_trt.utils.machine import Gpu

SIZE = (64, 64)


@pytest.fixture(autouse=True)
def tensorrt() -> Iterator[None]:
    """TensorRT on a GPU."""
    package = TensorRT("tensorrt", "11.4.0", None, None, [])
    with registered(TensorRTBackend(FakeToolchain(lambda _: package, Gpu("An Ada", "8.9")))):
        yield


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": Profile(1, 2, 4)}, "a range of batches or sizes: for --backend tensorrt only"),
        ({"size": Profile((64, 64), (64, 64), (96, 96))}, "a range of batches or sizes"),
        (
            {"tensorrt": PlanOptions(workspace=64, compute_capabilities=("8.9",))},
            "--workspace, --compute-capability: for --backend tensorrt only, this is ",
        ),
        (
            {"precision": Precision.INT8, "fallback_precision": Precision.FP16},
            "--int8 --fp16: layers outside INT8 run in fp32 with ",
        ),
    ],
)
def test_cpu_backends_reject_unsupported_options(
    backend: str, changes: dict[str, object], message: str
) -> None:
    options = CompileOptions.of(backend, SIZE)
    get_backend(backend).check(options)
    with pytest.raises(UsageError, match=message):
        get_backend(backend).check(replace(options, **changes))
    with pytest.raises(UsageError, match=message):
        get_backend(backend).compile(None, replace(options, **changes))  # type: ignore[arg-type]


def test_tensorrt_rejects_reuse_and_accepts_profiles() -> None:
    reuse = CompileOptions.of("tensorrt", SIZE, precision="fp16", reuse=True)
    with pytest.raises(UsageError, match=r"keep no state.*build with --backend openvino"):
        get_backend("tensorrt").check(reuse)
    size, batch = Profile((64, 64), (64, 64), (96, 96)), Profile(1, 2, 4)
    get_backend("tensorrt").check(CompileOptions.of("tensorrt", size, batch, "fp16"))


@pytest.mark.parametrize("name", names())
def test_defaults_are_among_the_capabilities(name: str) -> None:
    can = get_backend(name).capabilities
    assert can.default_precision in can.precisions
    assert set(can.fallback_precisions) | set(can.exact_precisions) <= set(can.precisions)
    assert Precision.INT8 not in (*can.fallback_precisions, *can.exact_precisions)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_invalid_threads_and_devices_are_rejected(backend: str) -> None:
    for arguments, message in (
        ({"threads": 0}, "threads 0: expected at least 1"),
        ({"device": "cuda:0"}, f"device cuda:0: expected cpu, since .* built for {backend}"),
    ):
        with pytest.raises(UsageError, match=message):
            open_onnx(backend, toy_model(), **arguments)  # type: ignore[arg-type]
    open_onnx(backend, toy_model(), threads=1, device="cpu").close()


def test_a_bundle_has_the_files_and_sections_of_its_manifest(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "m.lct")
    compiled, manifest = Compiled.from_bundle(bundle), bundle.manifest
    assert dict(compiled.files) == {name: bundle.path / name for name in manifest.files}
    shared = {f.name for f in fields(Compiled)} & {f.name for f in fields(manifest)} - {"files"}
    assert shared >= {"backend", "backend_version", "precision", "tensorrt", "gpu", "reuse"}
    for name in shared:
        assert getattr(compiled, name) == getattr(manifest, name), name
    assert compiled.skip_reason is None and compiled.reference_model is None
