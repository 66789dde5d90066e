"""The networks of a bench: the bundle's cascade, its dense network, baselines, peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import onnx

from lc_trt.backends.load import open_bundle
from lc_trt.backends.registry import available, get_backend
from lc_trt.bundle.bundle import Bundle
from lc_trt.compiler.frontend.wrap_dense import Normalisation, wrap_plain
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.precision import Precision
from lc_trt.data.classes import ClassSet
from lc_trt.data.published import PEERS, dense_fps
from lc_trt.errors import LcTrtError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.runtime.engines.base import Engine
from lc_trt.trt.options import PlanOptions
from lc_trt.utils.devices import check_device
from lc_trt.utils.machine import Gpu

BASELINES = {"vgg16": "VGG16", "resnet101": "ResNet-101"}  # row per preset
DENSE_ROW = "dense"
_PEER_TITLES = {name: figures.title for name, figures in PEERS.items()}


@dataclass(frozen=True)
class DenseNetwork:
    """A dense network of a bench.

    Attributes:
        name: of the network.
        row: name of its row.
        own: whether it is the bundle's own network, not a baseline or peer.
        published_fps: of the paper; None where it has none.
        precision: that of the bundle. A peer runs in the bundle's floating-point precision, a
            baseline in FP32, on a GPU likewise in the floating-point precision.
        load: creates its engine; memory is used only from then on.
    """

    name: str
    row: str
    own: bool
    published_fps: float | None
    precision: str
    load: Callable[[], Engine]


def dense_networks(
    bundle: Bundle,
    source: onnx.ModelProto,
    options: CompileOptions,
    threads: int | None,
    *,
    baselines: bool = False,
    peers: bool = False,
    all_runners: bool = False,
) -> list[DenseNetwork]:
    """The dense networks of a bench: baselines, peers, and the bundle's own.

    Args:
        bundle: the bundle under test.
        source: the bundle's exchange model.
        options: those of the bundle, at the size and batch of the bench.
        threads: CPU threads; None for all.
        baselines: whether to include VGG16 and ResNet-101.
        peers: whether to include PIDNet-S and DDRNet-23-slim.
        all_runners: whether to use every installed backend that has the bundle's precision, not
            only the bundle's backend.

    Raises:
        LcTrtError: ``all_runners``, and no backend here has the bundle's precision.
    """
    manifest = bundle.manifest
    titles = (BASELINES if baselines else {}) | (_PEER_TITLES if peers else {})
    titles.pop(manifest.name, None)
    backends = _runners(options) if all_runners else [options.backend]
    networks = []
    for name in [*titles, manifest.name]:
        own = name == manifest.name
        for backend in backends:
            target = _for_backend(options, backend)
            if not own:
                target = _for_other(target, name)
                load = partial(_open_other, name, bundle, target, threads)
            elif manifest.kind == "dense" and backend == manifest.backend:
                load = partial(open_own, bundle, source, target, threads)
            else:
                load = partial(_open_dense, bundle, source, target, threads)
            row = DENSE_ROW if own else titles[name]
            row = f"{row} ({backend})" if all_runners else row
            networks.append(DenseNetwork(name, row, own, dense_fps(name), target.precision, load))
    return networks


def check_runs(bundle: Bundle, device: str | None) -> tuple[str | None, Gpu | None]:
    """Reject a bundle that does not run here, before other networks are compiled for minutes.

    Args:
        bundle: the bundle under test.
        device: value of ``--device``; None for the default.

    Returns:
        The GPU that the bundle runs on, as ``cuda:N`` and as its description; None on the CPU.

    Raises:
        UsageError: no such device, or the bundle does not run on it.
        LcTrtError: the bundle does not run here.
    """
    backend = get_backend(bundle.manifest.backend)
    if not backend.capabilities.on_gpu:
        check_device(device, backend.name, on_gpu=False)
        return None, None
    engine = open_bundle(bundle, device=device)
    engine.close()
    return engine.device, engine.gpu


def open_own(
    bundle: Bundle, source: onnx.ModelProto, options: CompileOptions, threads: int | None
) -> Engine:
    """Open the bundle's engine; compile it again where size or batch differ.

    Args:
        bundle: the bundle under test.
        source: its exchange model.
        options: those of the bundle, at the size and batch of the bench.
        threads: CPU threads; None for all.
    """
    manifest = bundle.manifest
    if options.fixed_shape() == (manifest.size, manifest.batch):
        return open_bundle(bundle, threads=threads, device=options.device)
    return _compile(source, options, threads, bundle)


def _open_dense(
    bundle: Bundle, source: onnx.ModelProto, options: CompileOptions, threads: int | None
) -> Engine:
    model = run_passes(source, [ToDense()]) if bundle.manifest.kind == "cascade" else source
    return _compile(model, options, threads, bundle)


def _open_other(name: str, bundle: Bundle, options: CompileOptions, threads: int | None) -> Engine:
    export = export_peer if name in PEERS else export_baseline
    return _compile(export(name, bundle), options, threads, bundle)


def _compile(
    model: onnx.ModelProto, options: CompileOptions, threads: int | None, bundle: Bundle
) -> Engine:
    backend, origin = get_backend(options.backend), f"{bundle.path} ({model.graph.name})"
    compiled = backend.compile(model, options, origin=origin)
    return backend.open(compiled, threads=threads, device=options.device)


def _runners(options: CompileOptions) -> list[str]:
    """The bundle's backend if it is of a GPU, and installed CPU backends with the precision."""
    runners = [options.backend] if get_backend(options.backend).capabilities.on_gpu else []
    for backend in available():
        if backend.capabilities.on_gpu:
            continue
        try:
            backend.check_precision(options.precision)
        except LcTrtError:
            continue
        runners.append(backend.name)
    if not runners:
        raise LcTrtError(
            f"--runners all: no backend here computes in {options.precision} on the CPU; "
            "leave it out"
        )
    return runners


def _for_backend(options: CompileOptions, backend: str) -> CompileOptions:
    if backend == options.backend:
        return options
    fallback = get_backend(backend).capabilities.fallback_precisions[0]
    plain = PlanOptions()
    return replace(
        options, backend=backend, fallback_precision=fallback, tensorrt=plain, device=None
    )


def _for_other(options: CompileOptions, name: str) -> CompileOptions:
    """Others have no ranges for INT8. Baselines run on a CPU in FP32, as in the paper's table."""
    floating = name in PEERS or get_backend(options.backend).capabilities.on_gpu
    precision = options.floating if floating else Precision.FP32
    return replace(options, precision=precision, quantization=None, fp32_tensors=())


def export_baseline(name: str, bundle: Bundle) -> onnx.ModelProto:
    """Export VGG16 or ResNet-101 as an exchange model with random weights.

    Args:
        name: a key of ``BASELINES``.
        bundle: the bundle whose classes and size it gets.
    """
    # Only baselines and peers need PyTorch.
    from lc_trt.ir.export import export_dense
    from lc_trt.model.presets import build_dense, find_network

    manifest = bundle.manifest
    info = ModelInfo("dense", name, manifest.classes, manifest.colours, manifest.size)
    network = find_network(name)
    return export_dense(build_dense(name, len(manifest.classes)), info, network.mean, network.std)


def export_peer(name: str, bundle: Bundle) -> onnx.ModelProto:
    """Export a peer with random weights as plain ONNX, and import it as any foreign network.

    Args:
        name: a key of `lc_trt.data.published.PEERS`.
        bundle: the bundle whose classes and size it gets.

    Returns:
        An exchange model.
    """
    from lc_trt.ir.export_foreign import export_foreign
    from lc_trt.model.presets import build_peer

    manifest = bundle.manifest
    classes = ClassSet(manifest.name, manifest.classes, manifest.colours)
    plain = export_foreign(build_peer(name, len(classes)), name)
    return wrap_plain(plain, name, manifest.size, Normalisation(), classes)
