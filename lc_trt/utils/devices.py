"""Device names of ``--device`` and `lc_trt.load`."""

from __future__ import annotations

import re

from lc_trt.errors import UsageError

CPU = "cpu"


def parse_device(device: str | int | None) -> str | None:
    """Normalize a device name.

    Args:
        device: ``cpu``, ``cuda`` (the GPU of the current CUDA context, else the first GPU),
            ``cuda:N``, or a number N alone, as in trtexec and Ultralytics; None for the engine's
            default.

    Returns:
        ``cpu``, ``cuda``, ``cuda:N``, or None.

    Raises:
        UsageError: none of these.
    """
    if device is None or device in (CPU, "cuda"):
        return None if device is None else str(device)
    match = re.fullmatch(r"(?:cuda:)?(\d{1,3})", str(device))
    if match is None or isinstance(device, bool):
        raise UsageError(f"device {device!r}: expected cpu, cuda, cuda:N or a GPU's number")
    return f"cuda:{int(match[1])}"


def check_device(device: str | None, backend: str, *, on_gpu: bool) -> None:
    """Check that engines of a backend run on a device.

    Args:
        device: as returned by `parse_device`.
        backend: name of the backend, for the message.
        on_gpu: whether its engines run on a GPU instead of the CPU.

    Raises:
        UsageError: a GPU for an engine on the CPU, or the reverse.
    """
    if on_gpu and device == CPU:
        raise UsageError(
            "device cpu: expected cuda, cuda:N or a GPU's number, since the engine was built for "
            f"{backend}; for the CPU build it so: lc-trt build MODEL.onnx --backend openvino"
        )
    if not on_gpu and device not in (None, CPU):
        raise UsageError(
            f"device {device}: expected cpu, since the engine was built for {backend}; "
            "for a GPU build it so: lc-trt build MODEL.onnx --backend tensorrt"
        )
