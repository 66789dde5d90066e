"""TensorRT engines that a bench builds in memory: dense networks, a cascade at another size."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import onnx

from lc_trt.bundle.bundle import Bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Profile
from lc_trt.compiler.passes.insert_qdq import Quantization
from lc_trt.compiler.pipeline import compile_for_tensorrt
from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines import TENSORRT, Engine, create_engine
from lc_trt.trt import api as trt
from lc_trt.trt.builder import build_plan
from lc_trt.trt.options import PlanOptions
from lc_trt.utils.machine import Gpu


def build_engine(
    bundle: Bundle,
    model: onnx.ModelProto,
    size: tuple[int, int],
    batch: int,
    precision: str,
    device: str | None,
    quantization: Quantization | None = None,
    keep: Collection[str] = (),
) -> Engine:
    """Build a network on a GPU as the bundle was built, and load it there.

    With the bundle's builder options and plugin library, at one size and batch.

    Args:
        model: an exchange model, cascade or dense.
        precision: of all of it, or beside ``quantization`` of what stays out of INT8.
        device: of a GPU that the bundle runs on (`lc_trt.utils.devices.parse_device`).
        keep: tensors that FP16 cannot hold (`lc_trt.compiler.pipeline.compile_model`).

    Raises:
        LcTrtError: TensorRT builds no engine of it; the message says why.
    """
    # Comes with what the bundle itself was loaded by.
    from lc_trt.runtime.cuda import driver as cuda

    manifest = bundle.manifest
    assert manifest.tensorrt is not None
    lowered = compile_for_tensorrt(model, size, batch, precision, quantization, keep)
    gpu = cuda.Gpu.open(device)
    here = Gpu(gpu.name, "{}.{}".format(*gpu.capability))
    options = PlanOptions.from_manifest(
        manifest.tensorrt,
        plugin=bundle.file(manifest.plugin.file) if manifest.plugin else None,
        timing_cache=timing_cache(manifest, here),
    )
    with gpu.current():  # TensorRT builds for the GPU of the current context
        plan = build_plan(
            trt.load(manifest.tensorrt.package),
            lowered,
            options,
            batch=Profile.of(batch),
            size=Profile.of(size),
            gpu=here,
            origin=f"{bundle.path} ({model.graph.name})",
        )
    library = plan.library
    return create_engine(
        TENSORRT,
        plan.content,
        device=device,
        manifest=replace(manifest, plugin=library.manifest_entry() if library else None),
        plugin=library.path if library else None,
    )


def timing_cache(manifest: Manifest, gpu: Gpu) -> Path | None:
    """Where TensorRT keeps what it timed, so that the next bench builds in less time.

    In the temporary folder, in one of this user's own. None for TensorRT for RTX, which times
    nothing while it builds.

    Raises:
        LcTrtError: the folder cannot be made, or is not this user's alone.
    """
    assert manifest.tensorrt is not None
    package, version = manifest.tensorrt.package, manifest.tensorrt.version
    if package != "tensorrt":
        return None
    folder = Path(tempfile.gettempdir()) / f"lc-trt-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Everybody may write into the temporary folder; what others put there is not read.
        mine = folder.lstat()
    except OSError as error:
        raise LcTrtError(
            f"{folder}: cannot be made ({error.strerror}); name another temporary folder in TMPDIR"
        ) from error
    if mine.st_uid != os.getuid() or mine.st_mode & 0o077 or not folder.is_dir():
        raise LcTrtError(
            f"{folder}: others may write there; remove it, or name another temporary folder in "
            "TMPDIR"
        )
    # A cache holds for one version and one GPU.
    name = re.sub(r"[^\w.-]+", "-", f"{package}-{version}-{gpu.name}")
    return folder / f"{name}.timing"
