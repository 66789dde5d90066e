"""The options of a bundle, to compile another network or another size in the same way."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from lc_trt.bundle.bundle import CALIBRATION, Bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.compiler.options import CompileOptions, Quantization, Size
from lc_trt.errors import LcTrtError
from lc_trt.quantization.calibration_table import read_table
from lc_trt.trt.options import PlanOptions
from lc_trt.utils.machine import Gpu


def options_like(
    bundle: Bundle, size: Size, batch: int, *, device: str | None = None, gpu: Gpu | None = None
) -> CompileOptions:
    """The options with which a bundle was compiled, at another size and batch.

    Args:
        bundle: of any backend.
        size: (height, width) in pixels.
        batch: images per pass.
        device: the GPU to compile on, ``cuda:N``; None on the CPU.
        gpu: the same GPU.

    Raises:
        LcTrtError: see `timing_cache`.
    """
    manifest = bundle.manifest
    fp16 = manifest.calibration.fp16 if manifest.calibration else None
    options = CompileOptions.of(
        manifest.backend,
        size,
        batch,
        manifest.precision,
        manifest.floating_precision,
        quantization=_quantization(bundle),
        fp32_tensors=fp16.tensors if fp16 else (),
    )
    if manifest.tensorrt is None or gpu is None:
        return options
    tensorrt = PlanOptions.from_manifest(
        manifest.tensorrt,
        plugin=bundle.file(manifest.plugin.file) if manifest.plugin else None,
        timing_cache=timing_cache(manifest, gpu),
    )
    return replace(options, tensorrt=tensorrt, device=device)


def _quantization(bundle: Bundle) -> Quantization | None:
    """The quantisation of an INT8 bundle; None for other precisions."""
    calibration = bundle.manifest.calibration
    if calibration is None or calibration.int8 is None:
        return None
    table = read_table(bundle.file(CALIBRATION))
    return Quantization(table.ranges, calibration.int8.excluded_convolutions)


def timing_cache(manifest: Manifest, gpu: Gpu) -> Path | None:
    """The file of TensorRT's timing cache, which shortens the builds of later benches.

    It lies in a private subfolder of the temporary folder.

    Args:
        manifest: of a TensorRT bundle.
        gpu: the GPU that engines are built on.

    Returns:
        The path; None for TensorRT for RTX, whose builds time nothing.

    Raises:
        LcTrtError: the folder cannot be created, or others may write to it.
    """
    assert manifest.tensorrt is not None
    package, version = manifest.tensorrt.package, manifest.tensorrt.version
    if package != "tensorrt":
        return None
    folder = Path(tempfile.gettempdir()) / f"lc-trt-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Everybody may write to the temporary folder; files of others must not be read.
        status = folder.lstat()
    except OSError as error:
        raise LcTrtError(
            f"{folder}: cannot be created ({error.strerror}); set TMPDIR to another folder"
        ) from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or not folder.is_dir():
        raise LcTrtError(
            f"{folder}: others may write to it; remove it, or set TMPDIR to another folder"
        )
    # A cache is valid for one version and one GPU.
    name = re.sub(r"[^\w.-]+", "-", f"{package}-{version}-{gpu.name}")
    return folder / f"{name}.timing"
