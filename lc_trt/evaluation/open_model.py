"""What can be evaluated: a checkpoint, an ONNX or a bundle, all as a `Segmenter`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lc_trt.bundle.manifest import Manifest
from lc_trt.compiler.options import check_shape
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import ModelInfo, read_info
from lc_trt.runtime.engines import create_engine
from lc_trt.runtime.segmenter import Segmenter, load
from lc_trt.utils.devices import CPU, parse_device
from lc_trt.utils.machine import module_version

Size = tuple[int, int]
_REFERENCE = "onnxruntime"  # runs an exchange model as it is


def open_model(
    path: Path,
    size: Size | None = None,
    threads: int | None = None,
    device: str | int | None = None,
) -> Segmenter:
    """Open a checkpoint (.safetensors), an ONNX or a bundle (a folder).

    Args:
        size: (H, W) to run at. A checkpoint takes any (default: the export's) and so does a
            plain ONNX whose input is not fixed; a cascade ONNX and a bundle have their own.
        threads: CPU threads, all by default.
        device: of a bundle, as `lc_trt.load` takes it; the others run on the CPU.

    Raises:
        LcTrtError: it is none of the three, or cannot be used; the message says what mends it.
        UsageError: another size than the model's own, or a device that it does not run on.
    """
    check_shape(size, 1)
    if not path.exists():
        raise LcTrtError(
            f"{path}: no such file; expected a checkpoint (.safetensors), an ONNX or a bundle "
            "(NAME.lct)"
        )
    if path.is_dir():
        segmenter = load(path, device=device, threads=threads)
        try:
            _check_size(path, size, segmenter.manifest.size, f"lc-trt build MODEL.onnx -o {path}")
        except UsageError:
            segmenter.close()
            raise
        return segmenter
    if parse_device(device) not in (None, CPU):
        raise UsageError(
            f"device {device}: {path} is no bundle and is run on the CPU; leave --device out, or "
            "build it for a GPU: lc-trt build MODEL.onnx --backend tensorrt"
        )
    if path.suffix == ".safetensors":
        from lc_trt.evaluation.torch_engine import open_checkpoint

        return Segmenter(*open_checkpoint(path, size or ModelInfo.size, threads))
    if path.suffix == ".onnx":
        return _open_onnx(path, size, threads)
    raise LcTrtError(
        f"{path}: not a model by its name; expected a checkpoint (.safetensors), "
        "an ONNX (.onnx) or a bundle (a folder NAME.lct)"
    )


def _open_onnx(path: Path, size: Size | None, threads: int | None) -> Segmenter:
    """The exchange model's own function bodies in ONNX Runtime; nothing is compiled."""
    from lc_trt.compiler.frontend.read_onnx import check_region_operators, exchange_kind, load_onnx
    from lc_trt.compiler.frontend.wrap_dense import Normalisation, wrap_plain
    from lc_trt.compiler.passes.fold_constants import freeze

    model = load_onnx(path)
    if exchange_kind(model) is None:
        model = wrap_plain(model, str(path), size or ModelInfo.size, Normalisation(), None)
    info = read_info(model)
    if info is None:
        raise LcTrtError(
            f"{path}: has our inputs and outputs but no lc_trt metadata; write it with "
            "'lc-trt export'"
        )
    check_region_operators(model, str(path))
    _check_size(path, size, info.size, f"lc-trt export --checkpoint WEIGHTS -o {path}")
    cascade = info.kind == "cascade"
    content = freeze(model, 1, info.size).SerializeToString()
    manifest = Manifest(
        backend=_REFERENCE,
        backend_version=module_version(_REFERENCE) or "unknown",
        kind=info.kind,
        name=info.name,
        model_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        classes=info.classes,
        colours=info.colours,
        size=info.size,
        default_rho=info.default_rho if cascade else None,
        fast_rho=info.fast_rho if cascade else None,
    )
    return Segmenter(create_engine(_REFERENCE, content, threads=threads), manifest)


def _check_size(path: Path, asked: Size | None, own: Size, command: str) -> None:
    if asked is not None and asked != own:
        raise UsageError(
            f"--size {asked[0]}x{asked[1]}: {path} is for {own[0]}x{own[1]}; leave --size out, or "
            f"make it for that size: {command} --size {asked[0]}x{asked[1]}"
        )
