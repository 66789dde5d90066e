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


def check_device(device: str | None, backend: str, *, on_gpu: bool) -> None:
    """Refuse a device that engines of a backend do not run on.

    Args:
        device: as `parse_device` returns it.
        backend: the backend's name, for the message.
        on_gpu: whether its engines run on a GPU, else on the CPU.

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
