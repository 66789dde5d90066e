"""A plain ONNX whose class is the largest channel of its input: its normalisation decides all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (48, 64)
CLASSES = 3
# In the network's channel order, which is BGR; none makes two channels equal.
MEAN, STD = (40.25, 100.5, 190.75), (20.0, 60.0, 110.0)
OPTIONS = ("--bgr", "--mean", "40.25,100.5,190.75", "--std", "20,60,110")


def write_network(path: Path) -> Path:
    """The network: float [N, 3, H, W] in, its own channels as the scores of three classes out."""
    graph = helper.make_graph(
        # INT8 leaves the first and the last convolution in floating point, and needs another.
        [helper.make_node("Conv", [a, "w"], [b]) for a, b in ("xs", "st", "ty")],
        "channels",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES, None, None])],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32)[..., None, None], "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def right_labels(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What the network says of a BGR image [H, W, 3] that is normalised as it was trained."""
    scores = (image - np.asarray(MEAN)) / np.asarray(STD)
    return scores.argmax(axis=2).astype(np.uint8)


def write_data(root: Path, images: int = 3) -> Path:
    """A data set of layout ``folder`` whose labels are `right_labels`."""
    generator = np.random.default_rng(11)
    for kind in ("images", "labels"):
        (root / "val" / kind).mkdir(parents=True)
    for index in range(images):
        blocks = generator.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8, 3), np.uint8)
        image = blocks.repeat(8, 0).repeat(8, 1)
        cv2.imwrite(str(root / "val" / "images" / f"{index}.png"), image)
        cv2.imwrite(str(root / "val" / "labels" / f"{index}.png"), right_labels(image))
    return root
