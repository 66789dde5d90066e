"""ONNX in, a checked bundle out: what ``lc-trt build`` does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from lc_trt.agreement import Agreement, Case, compare_engines, separating_rho
from lc_trt.bundle import MODEL, SOURCE, Bundle, check_out, write_bundle
from lc_trt.classes import ClassSet
from lc_trt.compiler.pipeline import compile_model
from lc_trt.compiler.wrap import Normalisation, wrap_plain
from lc_trt.environment import module_version
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.cascade_graph import check_region_operators, exchange_kind, load_onnx
from lc_trt.ir.metadata import ModelInfo, read_info, write_info
from lc_trt.manifest import Manifest
from lc_trt.runtime.engines import create_engine, resolve_backend
from lc_trt.samples import Samples, check_samples
from lc_trt.thresholds import as_pair

MIN_AGREEMENT = 0.99  # share of labels equal to ONNX Runtime's on the same model
CHECK_IMAGES = 4
SMALLEST, LARGEST = 32, 8192  # pixels a side
STEPS = 4  # how often `progress` is called


def build(
    source: str | Path,
    out: str | Path,
    *,
    backend: str = "auto",
    size: tuple[int, int] | None = None,
    batch: int = 1,
    rho: tuple[float, float] | None = None,
    fast_rho: tuple[float, float] | None = None,
    classes: ClassSet | None = None,
    normalisation: Normalisation | None = None,
    check_images: Path | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Bundle:
    """Build a bundle from an exchange ONNX, or from a plain segmentation ONNX as a dense engine.

    Args:
        source: the ONNX file.
        out: the bundle's folder, NAME.lct; an existing bundle there is replaced.
        size: (height, width) in pixels; default the model's own.
        rho, fast_rho: thresholds that replace the model's own.
        classes: names and colours for a plain ONNX, which has none.
        normalisation: of a plain ONNX; ours normalise inside the graph.
        check_images: folder of photographs for the check; default those of scikit-image.
        progress: called with what is being done, ``STEPS`` times.

    Raises:
        LcTrtError: the file is no usable ONNX, or the engine does not agree with ONNX Runtime.
    """
    source, out = Path(source), Path(out)
    backend = resolve_backend(backend)
    check_numbers(size, batch)
    check_out(out)
    progress("reading")
    given = load_onnx(source)
    model, info = _exchange(given, source, size, classes, normalisation)
    info = _with_thresholds(info, source, rho, fast_rho)
    size = size or info.size
    if (model is given) and info == read_info(given):
        kept = source.read_bytes()
    else:
        write_info(model, info)
        kept = model.SerializeToString()
    progress("compiling")
    compiled = compile_model(model, backend, size, batch).SerializeToString()
    progress("checking")
    samples = check_samples(check_images, CHECK_IMAGES * batch, size)
    agreement = _check(model, compiled, backend, size, batch, info, samples)
    progress("writing")
    cascade = info.kind == "cascade"
    manifest = Manifest(
        backend=backend,
        backend_version=module_version(backend) or "unknown",
        kind=info.kind,
        name=info.name,
        model_sha256=hashlib.sha256(kept).hexdigest(),
        classes=info.classes,
        colours=info.colours,
        size=size,
        batch=batch,
        default_rho=info.default_rho if cascade else None,
        fast_rho=info.fast_rho if cascade else None,
        check={"checked": True, "images": samples.origin, **agreement.as_dict()},
        trained=info.trained,
    )
    return write_bundle(out, manifest, {MODEL: compiled, SOURCE: kept})


def check_numbers(size: tuple[int, int] | None, batch: int) -> None:
    """Refuse a (height, width) or a batch that no engine is built for."""
    if size is not None and not all(SMALLEST <= side <= LARGEST for side in size):
        raise UsageError(
            f"size {size[0]}x{size[1]}: expected HxW, each from {SMALLEST} to {LARGEST} pixels"
        )
    if batch < 1:
        raise UsageError(f"batch {batch}: expected at least 1")


def _exchange(
    model: onnx.ModelProto,
    source: Path,
    size: tuple[int, int] | None,
    classes: ClassSet | None,
    normalisation: Normalisation | None,
) -> tuple[onnx.ModelProto, ModelInfo]:
    """The model in exchange form, and its facts."""
    info = read_info(model)
    if exchange_kind(model) is None:
        default = ModelInfo.size
        model = wrap_plain(
            model, str(source), size or default, normalisation or Normalisation(), classes
        )
        info = read_info(model)
    elif normalisation is not None:
        raise UsageError(f"{source}: normalises inside its graph; leave out --mean, --std, --bgr")
    if info is None:
        raise LcTrtError(
            f"{source}: has our inputs and outputs but no lc_trt metadata; write it with "
            "'lc-trt export'"
        )
    check_region_operators(model, str(source))
    if classes is not None:
        if len(classes) != len(info.classes):
            raise UsageError(
                f"{source}: has {len(info.classes)} classes, --classes {classes.name} has "
                f"{len(classes)}"
            )
        info = replace(info, classes=classes.names, colours=classes.colours)
    return model, info


def _with_thresholds(
    info: ModelInfo,
    source: Path,
    rho: tuple[float, float] | None,
    fast_rho: tuple[float, float] | None,
) -> ModelInfo:
    if info.kind == "dense" and (rho or fast_rho):
        raise UsageError(f"{source}: is a dense network and has no thresholds; leave out --rho")
    return replace(
        info,
        default_rho=as_pair(rho) if rho else info.default_rho,
        fast_rho=as_pair(fast_rho) if fast_rho else info.fast_rho,
    )


def _check(
    model: onnx.ModelProto,
    compiled: bytes,
    backend: str,
    size: tuple[int, int],
    batch: int,
    info: ModelInfo,
    samples: Samples,
) -> Agreement:
    """Compare the engine with ONNX Runtime running the exchange model's own function bodies."""
    from lc_trt.compiler.fold import freeze

    reference = create_engine("onnxruntime", freeze(model, batch, size).SerializeToString())
    engine = create_engine(backend, compiled)
    batches = np.stack(samples.frames).reshape(-1, batch, *size, 3)
    cases: list[Case] = [(images, None) for images in batches]
    try:
        if info.kind == "cascade":
            rhos = (info.default_rho, info.fast_rho)
            cases = [(images, rho) for rho in rhos for images in batches]
            # With random weights the model's own thresholds may leave every region empty or full.
            cases += [(images, separating_rho(reference, images)) for images in batches]
        agreement = compare_engines(engine, reference, cases)
    finally:
        engine.close()
        reference.close()
    if agreement.labels < MIN_AGREEMENT:
        raise LcTrtError(
            f"the {backend} engine agrees with ONNX Runtime on {agreement.labels:.2%} of the "
            f"labels, expected at least {MIN_AGREEMENT:.0%}; nothing was written. Build with "
            "--backend onnxruntime and report this model"
        )
    return agreement
