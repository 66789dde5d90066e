"""ONNX in, a checked bundle out: what ``lc-trt build`` does."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from lc_trt.backends.base import Compiled
from lc_trt.backends.registry import compile_options, get_backend
from lc_trt.builder.prepare_options import PreparedOptions, check_request, prepare_options
from lc_trt.builder.verify import VerifyOptions, check_engine
from lc_trt.bundle.bundle import CALIBRATION, SOURCE, Bundle, check_out, write_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Profile
from lc_trt.bundle.thresholds import as_pair
from lc_trt.compiler.frontend.import_model import ImportOptions, import_model
from lc_trt.compiler.options import CompileOptions
from lc_trt.errors import UsageError
from lc_trt.ir.metadata import ModelInfo, write_info
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.utils.progress import ProgressMonitor

STEPS = 4  # calls of `ProgressMonitor.step`


def build(
    source: str | Path,
    out: str | Path,
    options: CompileOptions | None = None,
    *,
    rho: tuple[float, float] | None = None,
    fast_rho: tuple[float, float] | None = None,
    imports: ImportOptions | None = None,
    quantization: QuantizationOptions | None = None,
    overflow_images: Path | None = None,
    verify: VerifyOptions | None = None,
    monitor: ProgressMonitor | None = None,
) -> Bundle:
    """Build a bundle from an exchange ONNX, or from a plain segmentation ONNX as a dense engine.

    Example:
        ```python
        build("model.onnx", "model.lct", compile_options("openvino", size=(300, 500)))
        ```

    Args:
        source: the ONNX file.
        out: the bundle's folder, NAME.lct; an existing bundle there is replaced.
        options: what to compile for (`lc_trt.backends.registry.compile_options`); None is the
            best backend that runs here, in its default precision, at the model's own size.
        rho: default thresholds that replace the model's own, one per boundary, 0 to 1.
        fast_rho: fast thresholds, likewise.
        imports: how to read a plain ONNX; None for the defaults. Their size is that of
            ``options``.
        quantization: how to quantise; INT8 needs it, other precisions take none.
        overflow_images: FP16: folder of images on which to look for values beyond its range; None
            takes photographs of scikit-image.
        verify: how the engine is checked; None is the default.
        monitor: shows progress and warnings.

    Returns:
        The bundle that was written.

    Raises:
        LcTrtError: the file is no usable ONNX, the machine has no such precision, or the engine
            does not agree with ONNX Runtime.
        UsageError: options that make no sense, or that the backend does not have.
    """
    source, out, monitor = Path(source), Path(out), monitor or ProgressMonitor()
    options = options or compile_options()
    checkpoint = out.with_name(f".{out.name}.seen")
    if quantization is not None:
        quantization = replace(quantization, checkpoint=checkpoint)
    check_request(options, quantization, overflow_images)
    check_out(out)
    monitor.step("reading")
    size = options.size.opt if options.size else None
    imported = import_model(source, replace(imports or ImportOptions(), size=size))
    model, info = imported.model, _with_thresholds(imported.info, source, rho, fast_rho)
    options = replace(options, size=options.size or Profile.of(info.size))
    if options.reuse and info.kind == "dense":
        raise UsageError(
            f"--reuse: {source} is a dense network, which computes all pixels; leave it out"
        )
    if imported.unchanged and info == imported.info:
        exchange = source.read_bytes()
    else:
        write_info(model, info)
        exchange = model.SerializeToString()
    monitor.step("compiling")
    prepared = prepare_options(model, info, options, quantization, overflow_images, monitor)
    compiled = get_backend(options.backend).compile(
        model, prepared.options, origin=str(source), monitor=monitor
    )
    manifest = _manifest(compiled, prepared, info, hashlib.sha256(exchange).hexdigest())
    monitor.step("checking")
    check = check_engine(
        model, compiled, prepared, manifest, info, verify or VerifyOptions(), monitor
    )
    monitor.step("writing")
    files: dict[str, bytes | Path] = {**compiled.files, SOURCE: exchange}
    if prepared.table is not None:
        files[CALIBRATION] = prepared.table.dumps().encode()
    bundle = write_bundle(out, replace(manifest, check=check), files)
    checkpoint.unlink(missing_ok=True)
    return bundle


def _manifest(
    compiled: Compiled, prepared: PreparedOptions, info: ModelInfo, sha256: str
) -> Manifest:
    """All but the check; ``sha256`` is that of the exchange model."""
    size, batch = prepared.options.size, prepared.options.batch
    assert size is not None
    cascade = info.kind == "cascade"
    return Manifest(
        backend=compiled.backend,
        backend_version=compiled.backend_version,
        kind=info.kind,
        name=info.name,
        model_sha256=sha256,
        classes=info.classes,
        colours=info.colours,
        size=size.opt,
        batch=batch.opt,
        batch_profile=None if batch.fixed else batch,
        size_profile=None if size.fixed else size,
        default_rho=info.default_rho if cascade else None,
        fast_rho=info.fast_rho if cascade else None,
        precision=compiled.precision,
        gpu=compiled.gpu,
        plugin=compiled.plugin,
        tensorrt=compiled.tensorrt,
        calibration=prepared.calibration,
        reuse=compiled.reuse,
        trained=info.trained,
    )


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
