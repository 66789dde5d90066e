"""Open a checkpoint, an ONNX or a bundle as a `Segmenter` for evaluation."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lc_trt.backends.load import REFERENCE, load, open_reference
from lc_trt.bundle.manifest import Manifest
from lc_trt.compiler.frontend.import_model import ImportOptions, import_model, is_plain
from lc_trt.compiler.options import check_shape
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import ModelInfo
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.devices import CPU, parse_device
from lc_trt.utils.machine import module_version

Size = tuple[int, int]


def open_model(
    path: Path,
    options: ImportOptions | None = None,
    *,
    threads: int | None = None,
    device: str | int | None = None,
) -> Segmenter:
    """Open a checkpoint (.safetensors), an ONNX (.onnx) or a bundle (a folder).

    Args:
        path: the file or folder.
        options: import options of a plain ONNX; None for the defaults. A checkpoint uses only
            their size; the size of an exchange ONNX or a bundle is fixed.
        threads: CPU threads; None for all.
        device: device of a bundle, as for `lc_trt.load`; other models run on the CPU.

    Raises:
        LcTrtError: not a model, or unusable; the message says how to fix it.
        UsageError: a size other than the model's own, a device that it does not run on, or
            import options for a model other than a plain ONNX.
    """
    options = options or ImportOptions()
    size = options.size
    check_shape(size, 1)
    if not path.exists():
        raise LcTrtError(
            f"{path}: no such file; expected a checkpoint (.safetensors), an ONNX or a bundle "
            "(NAME.lct)"
        )
    if path.is_dir():
        _refuse_import_options(path, "a bundle", options)
        segmenter = load(path, device=device, threads=threads)
        try:
            _check_size(path, size, segmenter.manifest.size, f"lc-trt build MODEL.onnx -o {path}")
        except UsageError:
            segmenter.close()
            raise
        return segmenter
    if parse_device(device) not in (None, CPU):
        raise UsageError(
            f"device {device}: {path} is not a bundle and runs on the CPU; omit --device, or "
            "build it for a GPU: lc-trt build MODEL.onnx --backend tensorrt"
        )
    if path.suffix == ".safetensors":
        from lc_trt.evaluation.torch_engine import open_checkpoint

        _refuse_import_options(path, "a checkpoint", options)
        return Segmenter(*open_checkpoint(path, size or ModelInfo.size, threads))
    if path.suffix == ".onnx":
        return _open_onnx(path, options, threads)
    raise LcTrtError(
        f"{path}: unknown file type; expected a checkpoint (.safetensors), "
        "an ONNX (.onnx) or a bundle (a folder NAME.lct)"
    )


def takes_import_options(path: Path) -> bool:
    """Whether `open_model` accepts all import options: for a plain ONNX.

    Args:
        path: file or folder of the model.
    """
    return path.suffix == ".onnx" and path.is_file() and is_plain(path)


def takes_size(path: Path) -> bool:
    """Whether `open_model` accepts a size: for a checkpoint or a plain ONNX.

    Args:
        path: file or folder of the model.
    """
    return path.suffix == ".safetensors" or takes_import_options(path)


def _open_onnx(path: Path, options: ImportOptions, threads: int | None) -> Segmenter:
    """Run the function bodies of the exchange model in ONNX Runtime, uncompiled."""
    imported = import_model(path, options)
    info = imported.info
    _check_size(path, options.size, info.size, f"lc-trt export --checkpoint WEIGHTS -o {path}")
    cascade = info.kind == "cascade"
    manifest = Manifest(
        backend=REFERENCE,
        backend_version=module_version(REFERENCE) or "unknown",
        kind=info.kind,
        name=info.name,
        model_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        classes=info.classes,
        colours=info.colours,
        size=info.size,
        default_rho=info.default_rho if cascade else None,
        fast_rho=info.fast_rho if cascade else None,
    )
    return Segmenter(open_reference(imported.model, info.size, threads=threads), manifest)


def _refuse_import_options(path: Path, kind: str, options: ImportOptions) -> None:
    if options.classes is not None or options.normalisation is not None:
        raise UsageError(
            f"{path}: is {kind}, with its own classes and normalisation; omit "
            "--classes, --mean, --std, --bgr"
        )


def _check_size(path: Path, requested: Size | None, own: Size, command: str) -> None:
    if requested is not None and requested != own:
        raise UsageError(
            f"--size {requested[0]}x{requested[1]}: {path} has size {own[0]}x{own[1]}; omit "
            f"--size, or recreate it: {command} --size {requested[0]}x{requested[1]}"
        )
