"""Read and validate ONNX files."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import (
    CASCADE_INPUTS,
    CASCADE_OUTPUTS,
    DENSE_INPUTS,
    DENSE_OUTPUTS,
    DOMAIN,
    VERSION,
)
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import EXCHANGE_OPERATORS, REGION_SELECT


def load_onnx(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file with its external data.

    Args:
        path: file to read.

    Raises:
        LcTrtError: no such file, or not an ONNX.
    """
    path = Path(path)
    if not path.is_file():
        raise LcTrtError(
            f"{path}: no such file; expected an ONNX model ('lc-trt export' writes one)"
        )
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except DecodeError as error:
        raise LcTrtError(f"{path}: not an ONNX file ({path.stat().st_size} bytes read)") from error
    except (onnx.checker.ValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise LcTrtError(
            f"{path}: not a valid ONNX model: {reason}; export it again, with 'lc-trt export' "
            "or its original exporter"
        ) from error
    if not model.graph.node:
        raise LcTrtError(f"{path}: not an ONNX model: its graph is empty")
    return model


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operator set.

    Args:
        model: any ONNX.
    """
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def exchange_kind(model: onnx.ModelProto) -> str | None:
    """``cascade`` or ``dense`` for an exchange model; None for another ONNX.

    Args:
        model: any ONNX.
    """
    initializers = {t.name for t in model.graph.initializer}
    inputs = {i.name for i in model.graph.input} - initializers
    outputs = {o.name for o in model.graph.output}
    if inputs == set(CASCADE_INPUTS) and outputs == set(CASCADE_OUTPUTS):
        return "cascade"
    if inputs == set(DENSE_INPUTS) and outputs == set(DENSE_OUTPUTS):
        return "dense"
    return None


def check_region_operators(model: onnx.ModelProto, origin: str) -> None:
    """Check the region operators of a model.

    Args:
        model: any ONNX.
        origin: name of the model in messages.

    Raises:
        LcTrtError: unknown or lowered operators, another version of them, or a cascade that does
            not have three stages.
    """
    region_nodes = [n for n in model.graph.node if is_region(n)]
    versions = {o.version for o in model.opset_import if o.domain == DOMAIN}
    if region_nodes and versions != {VERSION}:
        actual = " and ".join(map(str, sorted(versions))) or "none"
        raise LcTrtError(
            f"{origin}: has region operators of version {actual}, expected version {VERSION}; "
            "export it again with this version of lc-trt: lc-trt export"
        )
    for node in region_nodes:
        if not is_region(node, *EXCHANGE_OPERATORS):
            raise LcTrtError(
                f"{origin}: node {node.name!r} is {DOMAIN}.{node.op_type}, expected one of "
                f"{', '.join(o.name for o in EXCHANGE_OPERATORS)}; export it with this version of "
                "lc-trt"
            )
        if node.overload:
            raise LcTrtError(
                f"{origin}: node {node.name!r} is already lowered to a TensorRT plugin; build "
                "from the file of 'lc-trt export'"
            )
    selects = sum(is_region(n, REGION_SELECT) for n in region_nodes)
    if exchange_kind(model) == "cascade" and selects != 2:
        raise LcTrtError(f"{origin}: {selects} RegionSelect nodes, expected 2 (three stages)")
