"""What takes part in a bench: the bundle's cascade, its dense network, published baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx

from lc_trt.bench.plans import build_engine
from lc_trt.bundle.bundle import CALIBRATION, Bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.insert_qdq import Quantization
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.pipeline import compile_model
from lc_trt.data.published import dense_fps
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.quantization.calibration_table import read_table
from lc_trt.runtime.engines import (
    TENSORRT,
    Engine,
    available_on_cpu,
    check_precision,
    create_engine,
    open_engine,
)
from lc_trt.utils.devices import check_device

BASELINES = {"vgg16": "VGG16", "resnet101": "ResNet-101"}  # their rows
DENSE_ROW = "dense"


@dataclass(frozen=True)
class Dense:
    """A dense network that takes part.

    Attributes:
        row: the row's name.
        own: whether it is the bundle's own network, not a baseline.
        published_fps: None where the paper has none.
        precision: the bundle's; of a baseline FP32, on a GPU what is not INT8 in the bundle.
        load: makes its engine; only then is anything of it in memory.
    """

    row: str
    own: bool
    published_fps: float | None
    precision: str
    load: Callable[[], Engine]


def dense_networks(
    bundle: Bundle,
    source: onnx.ModelProto,
    size: tuple[int, int],
    batch: int,
    threads: int | None,
    *,
    device: str | None = None,
    baselines: bool = False,
    all_runners: bool = False,
) -> list[Dense]:
    """The dense networks of a bench, baselines first.

    Args:
        source: the bundle's exchange model.
        size: (height, width) in pixels.
        device: of the bundle's own backend.
        baselines: with VGG16 and ResNet-101.
        all_runners: each on every installed backend that computes in the bundle's precision,
            not only on the bundle's.
    """
    manifest = bundle.manifest
    keep = overflow(bundle)
    found = []
    others = [name for name in BASELINES if baselines and name != manifest.name]
    for name in [*others, manifest.name]:
        own = name == manifest.name
        for backend in _runners(manifest) if all_runners else [manifest.backend]:
            precision = manifest.precision if own else _baseline_precision(backend, manifest)

            def load(
                name: str = name,
                own: bool = own,
                backend: str = backend,
                precision: str = precision,
            ) -> Engine:
                if own and manifest.kind == "dense" and backend == manifest.backend:
                    return load_own(bundle, source, size, batch, threads, device)
                if not own:
                    model = export_baseline(name, bundle)
                else:
                    cascade = manifest.kind == "cascade"
                    model = run_passes(source, [ToDense()]) if cascade else source
                ranges, kept = (quantization(bundle), keep) if own else (None, ())
                if backend == TENSORRT:
                    floating = manifest.floating_precision
                    return build_engine(bundle, model, size, batch, floating, device, ranges, kept)
                return _compile(model, backend, size, batch, threads, precision, ranges, kept)

            row = DENSE_ROW if own else BASELINES[name]
            row = f"{row} ({backend})" if all_runners else row
            found.append(Dense(row, own, dense_fps(name), precision, load))
    return found


def _baseline_precision(backend: str, manifest: Manifest) -> str:
    """There are no ranges for INT8; on a GPU nobody runs them in FP32 unless asked to."""
    return manifest.floating_precision if backend == TENSORRT else "fp32"


def quantization(bundle: Bundle) -> Quantization | None:
    """How an INT8 bundle was quantised, for another size or its dense form; else None."""
    calibration = bundle.manifest.calibration
    if calibration is None or calibration.int8 is None:
        return None
    table = read_table(bundle.file(CALIBRATION))
    return Quantization(table.ranges, calibration.int8.excluded_convolutions)


def overflow(bundle: Bundle) -> Sequence[str]:
    """What a bundle keeps in FP32 that FP16 cannot hold, for another size or its dense form."""
    calibration = bundle.manifest.calibration
    return calibration.fp16.tensors if calibration and calibration.fp16 else ()


def _runners(manifest: Manifest) -> list[str]:
    """A GPU's own backend, and the CPU's installed ones that compute in the precision."""
    precision = manifest.precision
    found = [TENSORRT] if manifest.backend == TENSORRT else []
    for backend in available_on_cpu():
        try:
            check_precision(backend, precision)
        except LcTrtError:
            continue
        found.append(backend)
    if not found:
        raise LcTrtError(
            f"--runners all: no backend here computes in {precision} on the CPU; leave it out"
        )
    return found


def check_runs(bundle: Bundle, device: str | None) -> None:
    """Refuse a bundle that does not run here, before minutes go into building others like it."""
    check_device(bundle.manifest.backend, device)
    if bundle.manifest.backend == TENSORRT:
        open_engine(bundle, device=device).close()


def load_own(
    bundle: Bundle,
    source: onnx.ModelProto,
    size: tuple[int, int],
    batch: int,
    threads: int | None,
    device: str | None = None,
) -> Engine:
    """The bundle's engine as built; compiled again where size or batch are others."""
    manifest = bundle.manifest
    if (size, batch) == (manifest.size, manifest.batch):
        return open_engine(bundle, threads=threads, device=device)
    ranges, keep = quantization(bundle), overflow(bundle)
    if manifest.backend == TENSORRT:
        return build_engine(
            bundle, source, size, batch, manifest.floating_precision, device, ranges, keep
        )
    return _compile(
        source, manifest.backend, size, batch, threads, manifest.precision, ranges, keep
    )


def _compile(
    model: onnx.ModelProto,
    backend: str,
    size: tuple[int, int],
    batch: int,
    threads: int | None,
    precision: str = "fp32",
    ranges: Quantization | None = None,
    keep: Sequence[str] = (),
) -> Engine:
    compiled = compile_model(model, backend, size, batch, ranges, precision, keep)
    return create_engine(
        backend, compiled.SerializeToString(), threads=threads, precision=precision
    )


def export_baseline(name: str, bundle: Bundle) -> onnx.ModelProto:
    """VGG16 or ResNet-101 as an exchange model, with the bundle's classes and random weights."""
    # Only here does the bench need PyTorch.
    from lc_trt.ir.export import export_dense
    from lc_trt.model.presets import build_dense, find_network

    manifest = bundle.manifest
    info = ModelInfo("dense", name, manifest.classes, manifest.colours, manifest.size)
    network = find_network(name)
    return export_dense(build_dense(name, len(manifest.classes)), info, network.mean, network.std)
