"""The kernels that OpenVINO executed, from its runtime graph."""

from __future__ import annotations

from typing import Any


def executed(engine: Any) -> dict[str, set[tuple[str, str]]]:
    """(kind, precision) of the kernels of an OpenVINO engine, by the layers that they came from."""
    graph = engine._request.get_compiled_model().get_runtime_model()
    kernels: dict[str, set[tuple[str, str]]] = {}
    for op in graph.get_ordered_ops():
        info = {}
        for key, value in op.get_rt_info().items():
            try:
                info[key] = str(value.astype(str))
            except RuntimeError:  # not text
                continue
        names = info.get("originalLayersNames", "") or op.get_friendly_name()
        for name in names.split(","):
            kernel = info.get("layerType", ""), info.get("runtimePrecision", "")
            kernels.setdefault(name, set()).add(kernel)
    return kernels
