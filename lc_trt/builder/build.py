"""Builds a verified bundle from an ONNX file: the library behind ``lc-trt build``."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from lc_trt.backends.base import Compiled
from lc_trt.backends.registry import compile_options, get_backend
from lc_trt.builder.prepare_options import PreparedOptions, check_request, prepare_options
from lc_trt.builder.verify import VerifyOptions, verify_engine
from lc_trt.bundle.bundle import CALIBRATION, SOURCE, Bundle, check_out, write_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Profile
from lc_trt.bundle.thresholds import as_pair
from lc_trt.compiler.frontend.import_model import ImportOptions, import_model
from lc_trt.compiler.options import CompileOptions
from lc_trt.errors import UsageError
from lc_trt.ir.metadata import ModelInfo, write_info
from lc_trt.quantization.calibrate import checkpoint_path
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.utils.progress import ProgressMonitor

PHASES = 4  # reading, compiling, verifying, writing


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
        options: of the engine (`lc_trt.backends.registry.compile_options`); None is the best
            backend that runs here, in its default precision, at the model's own size.
        rho: default thresholds, one per boundary, 0 to 1; None keeps the model's own.
        fast_rho: fast thresholds, likewise.
        imports: how to read a plain ONNX; None for the defaults. Their size is that of
            ``options``.
        quantization: how to quantise; required for INT8, None for other precisions.
        overflow_images: for FP16, a folder of images on which to look for values beyond its
            range; None takes photographs of scikit-image.
        verify: how the engine is verified; None for the defaults.
        monitor: shows progress and warnings.

    Returns:
        The bundle that was written.

    Raises:
        LcTrtError: the file is not a usable ONNX, the machine lacks the precision, or the engine
            does not agree with ONNX Runtime.
        UsageError: options that contradict each other, or that the backend does not support.
    """
    source, out, monitor = Path(source), Path(out), monitor or ProgressMonitor()
    options, verify = options or compile_options(), verify or VerifyOptions()
    checkpoint = checkpoint_path(out)
    if quantization is not None:
        quantization = replace(quantization, checkpoint=checkpoint)
    check_request(options, quantization, overflow_images)
    check_out(out)
    with monitor.phase("building", PHASES) as advance:
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
        advance(1)
        prepared = prepare_options(model, info, options, quantization, overflow_images, monitor)
        compiled = get_backend(options.backend).compile(
            model, prepared.options, origin=str(source), monitor=monitor
        )
        manifest = _manifest(compiled, prepared, info, hashlib.sha256(exchange).hexdigest())
        advance(1)
        check = verify_engine(model, compiled, prepared, manifest, info, verify, monitor)
        advance(1)
        files: dict[str, bytes | Path] = {**compiled.files, SOURCE: exchange}
        if prepared.table is not None:
            files[CALIBRATION] = prepared.table.dumps().encode()
        bundle = write_bundle(out, replace(manifest, check=check), files)
        advance(1)
    checkpoint.unlink(missing_ok=True)
    return bundle


def _manifest(
    compiled: Compiled, prepared: PreparedOptions, info: ModelInfo, sha256: str
) -> Manifest:
    """The manifest without its check; ``sha256`` is that of the exchange model."""
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
        raise UsageError(f"{source}: a dense network has no thresholds; leave out --rho")
    return replace(
        info,
        default_rho=as_pair(rho) if rho else info.default_rho,
        fast_rho=as_pair(fast_rho) if fast_rho else info.fast_rho,
    )
