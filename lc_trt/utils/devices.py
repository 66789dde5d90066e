"""Devices as people name them: ``--device`` and `lc_trt.load`."""

from __future__ import annotations

import re

from lc_trt.errors import UsageError

CPU = "cpu"


def parse_device(device: str | int | None) -> str | None:
    """``cpu``, ``cuda`` (the GPU of the current CUDA context, else the first) or ``cuda:N``.

    A number alone, ``1`` or ``"1"``, is ``cuda:1``, as in trtexec and Ultralytics. None, for the
    engine's own choice, stays None.

    Raises:
        UsageError: none of these.
    """
    if device is None or device in (CPU, "cuda"):
        return None if device is None else str(device)
    found = re.fullmatch(r"(?:cuda:)?(\d{1,3})", str(device))
    if found is None or isinstance(device, bool):
        raise UsageError(f"device {device!r}: expected cpu, cuda, cuda:N or a GPU's number")
    return f"cuda:{int(found[1])}"


def check_device(backend: str, device: str | None) -> None:
    """Refuse a device (of `parse_device`) that engines of a backend do not run on."""
    if backend == "tensorrt" and device == CPU:
        raise UsageError(
            "device cpu: expected cuda, cuda:N or a GPU's number, since the engine was built for "
            "tensorrt; for the CPU build it so: lc-trt build MODEL.onnx --backend openvino"
        )
    if backend != "tensorrt" and device not in (None, CPU):
        raise UsageError(
            f"device {device}: expected cpu, since the engine was built for {backend}; "
            "for a GPU build it so: lc-trt build MODEL.onnx --backend tensorrt"
        )
