"""Networks small enough to predict by hand, with the interface of a compiled model.

A pixel (B, G, R) has class ``R // 64``, and at each of the three stages the confidence
B / 255, G / 255 and R / 255. The map of cells is every eighth pixel, and its confidence is at
least 1 / 4, as the largest of four probabilities is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from lc_trt.bundle.bundle import MODEL, SOURCE, Bundle, write_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import TensorRTBuild

CLASSES = ("sky", "road", "car", "tree")
COLOURS = ((70, 130, 180), (128, 64, 128), (0, 0, 142), (107, 142, 35))  # RGB
SIZE = (36, 60)
DEFAULT_RHO = (0.9, 0.8)
FAST_RHO = (0.5, 0.4)


def toy_model(kind: str = "cascade", size: tuple[int, int] = SIZE, batch: int = 1) -> bytes:
    """A compiled model, ``cascade`` or ``dense``, as bytes of ONNX."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: Any, dtype: Any) -> str:
        constants.append(onnx.numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    pixels = add("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    red = add("Gather", [pixels, constant("two", 2, np.int64)], "red", axis=3)
    level = add("Floor", [add("Div", [red, constant("64", 64, np.float32)], "d")], "level")
    add("Cast", [level], "labels", to=TensorProto.UINT8)
    stepped = add(
        "Slice",
        [
            pixels,
            constant("starts", [0, 0], np.int64),
            constant("ends", list(size), np.int64),
            constant("axes", [1, 2], np.int64),
            constant("steps", [8, 8], np.int64),
        ],
        "stepped",
    )
    cells = add("Div", [stepped, constant("255", 255, np.float32)], "cells")
    channels = [
        add("Gather", [cells, constant(f"i{i}", i, np.int64)], f"confidence{i + 1}", axis=3)
        for i in range(3)
    ]
    h, w = -(-size[0] // 8), -(-size[1] // 8)
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, *size, 3])]
    outputs = [
        helper.make_tensor_value_info("labels", TensorProto.UINT8, [batch, *size]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [batch, h, w]),
    ]
    if kind == "cascade":
        inputs.append(helper.make_tensor_value_info("rho", TensorProto.FLOAT, [2]))
        outputs.append(helper.make_tensor_value_info("stages", TensorProto.UINT8, [batch, h, w]))
        left = [
            add(
                "Greater",
                [channels[i], add("Gather", ["rho", f"i{i}"], f"rho{i}", axis=0)],
                f"left{i}",
            )
            for i in range(2)
        ]
        one, two, three = (constant(f"stage{i}", i, np.uint8) for i in (1, 2, 3))
        late = add("Where", [left[1], two, three], "late")
        add("Where", [left[0], one, late], "stages")
        add(
            "Where",
            [left[0], channels[0], add("Where", [left[1], *channels[1:]], "lateconfidence")],
            "level_left_at",
        )
    else:
        add("Identity", [channels[2]], "level_left_at")
    add("Max", ["level_left_at", constant("least", 1 / len(CLASSES), np.float32)], "confidence")
    graph = helper.make_graph(nodes, "toy", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def toy_manifest(
    kind: str = "cascade", size: tuple[int, int] = SIZE, batch: int = 1, backend: str = "openvino"
) -> Manifest:
    """The manifest that goes with `toy_model`."""
    cascade = kind == "cascade"
    return Manifest(
        backend=backend,
        backend_version="1.0",
        kind=kind,
        name="toy",
        model_sha256="0" * 64,
        classes=CLASSES,
        colours=COLOURS,
        size=size,
        batch=batch,
        default_rho=DEFAULT_RHO if cascade else None,
        fast_rho=FAST_RHO if cascade else None,
        tensorrt=TensorRTBuild("tensorrt", "1.0") if backend == "tensorrt" else None,
    )


def toy_bundle(
    out: Path,
    kind: str = "cascade",
    size: tuple[int, int] = SIZE,
    batch: int = 1,
    backend: str = "openvino",
) -> Bundle:
    """A bundle that loads."""
    content = toy_model(kind, size, batch)
    return write_bundle(
        out, toy_manifest(kind, size, batch, backend), {MODEL: content, SOURCE: content}
    )


def bgr(blue: int, green: int, red: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    """An image of one colour."""
    return np.full((*size, 3), (blue, green, red), np.uint8)


def thirds(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Left: sure at stage 1, class 0. Middle: sure at stage 2, class 3. Right: never, class 1."""
    frame = bgr(0, 0, 70, size)
    frame[:, : size[1] // 3] = (255, 0, 10)
    frame[:, size[1] // 3 : size[1] * 2 // 3] = (0, 255, 255)
    return frame
