"""ONNX in, a checked bundle out: what ``lc-trt build`` does."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from lc_trt.builder.engine_builders import make_maker
from lc_trt.builder.verify import VerifyOptions, check_engine
from lc_trt.bundle.bundle import SOURCE, Bundle, check_out, write_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.thresholds import as_pair
from lc_trt.compiler.frontend.import_model import open_exchange
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.frontend.wrap_dense import Normalisation
from lc_trt.compiler.options import check_shape
from lc_trt.data.classes import ClassSet
from lc_trt.errors import UsageError
from lc_trt.ir.metadata import ModelInfo, read_info, write_info
from lc_trt.quantization.int8 import QuantizationOptions
from lc_trt.runtime.engines import resolve_backend
from lc_trt.trt.options import PlanOptions, Profile
from lc_trt.utils.progress import ProgressMonitor

STEPS = 4  # how often `Show.step` is called


def build(
    source: str | Path,
    out: str | Path,
    *,
    backend: str = "auto",
    size: tuple[int, int] | Profile[tuple[int, int]] | None = None,
    batch: int | Profile[int] = 1,
    precision: str | None = None,
    int8: QuantizationOptions | None = None,
    calib: Path | None = None,
    rho: tuple[float, float] | None = None,
    fast_rho: tuple[float, float] | None = None,
    classes: ClassSet | None = None,
    normalisation: Normalisation | None = None,
    check_images: Path | None = None,
    min_agreement: float | None = None,
    must_agree: bool = True,
    plan: PlanOptions | None = None,
    reuse: bool = False,
    show: ProgressMonitor | None = None,
) -> Bundle:
    """Build a bundle from an exchange ONNX, or from a plain segmentation ONNX as a dense engine.

    Args:
        source: the ONNX file.
        out: the bundle's folder, NAME.lct; an existing bundle there is replaced.
        size: (height, width) in pixels, or for TensorRT a profile of them; default the model's own.
        batch: images a pass, or for TensorRT a profile.
        precision: ``fp32``, ``fp16``, ``bf16``, or ``int8``, which goes with the argument of that
            name; default ``fp16`` for TensorRT, ``fp32`` for others.
        int8: how to calibrate and what to keep in FP32.
        calib: for FP16: folder of images on which to look for values that it cannot hold; default
            some photographs of scikit-image.
        rho, fast_rho: thresholds that replace the model's own.
        classes: names and colours for a plain ONNX, which has none.
        normalisation: of a plain ONNX; ours normalise inside the graph.
        check_images: folder of photographs for the check; default those of scikit-image, for
            INT8 the ones held out of the calibration.
        min_agreement: share that has to agree with FP32, 0 to 1: of the labels, in reduced
            precision on the CPU also of the stages (see `lc_trt.builder.verify`); default 0.99,
            and 0.97 in reduced precision on the CPU. Labelled images (`Int8.eval_root`) decide
            instead where they are given.
        must_agree: False writes an engine that does not agree, too, with the figures.
        plan: TensorRT's builder options.
        reuse: lets frames of a video reuse results (`lc_trt.runtime.temporal_reuse.Reuse`); a
            cascade on the CPU only.
        show: told how far the build has come, and what is no error but should be known.

    Raises:
        LcTrtError: the file is no usable ONNX, the machine has no such precision, or the engine
            does not agree with ONNX Runtime.
        UsageError: options that make no sense, or that the backend does not have.
    """
    source, out, show = Path(source), Path(out), show or ProgressMonitor()
    backend = resolve_backend(backend)
    batches = batch if isinstance(batch, Profile) else Profile.of(batch)
    sizes = size if isinstance(size, Profile) or size is None else Profile.of(size)
    for wanted in (sizes.min, sizes.max) if sizes else (None,):
        check_shape(wanted, batches.min)
    state = out.with_name(f".{out.name}.seen")
    if int8 is not None:
        int8 = replace(int8, state=state)
    options = plan or PlanOptions()
    maker = make_maker(
        backend, precision, int8, batches, sizes, options, show, calib=calib, reuse=reuse
    )
    check_out(out)
    show.step("reading")
    given = load_onnx(source)
    model, info = open_exchange(given, source, sizes.opt if sizes else None, classes, normalisation)
    info = _with_thresholds(info, source, rho, fast_rho)
    sizes = sizes or Profile.of(info.size)
    if (model is given) and info == read_info(given):
        kept = source.read_bytes()
    else:
        write_info(model, info)
        kept = model.SerializeToString()
    show.step("compiling")
    made = maker.make(model, info, str(source), sizes)
    cascade = info.kind == "cascade"
    manifest = Manifest(
        backend=backend,
        kind=info.kind,
        name=info.name,
        model_sha256=hashlib.sha256(kept).hexdigest(),
        classes=info.classes,
        colours=info.colours,
        size=sizes.opt,
        batch=batches.opt,
        batch_profile=batches.as_dict(),
        size_profile=sizes.as_dict(),
        default_rho=info.default_rho if cascade else None,
        fast_rho=info.fast_rho if cascade else None,
        trained=info.trained,
        **made.facts,
    )
    show.step("checking")
    asked = VerifyOptions(check_images, min_agreement, must_agree)
    found = check_engine(model, made, manifest, info, asked, show)
    show.step("writing")
    bundle = write_bundle(out, replace(manifest, check=found), {**made.files, SOURCE: kept})
    state.unlink(missing_ok=True)
    return bundle


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
