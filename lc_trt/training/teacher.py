"""A larger network that a run learns from beside the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]

from lc_trt.compiler.frontend.import_model import open_exchange
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.passes.fold_constants import freeze
from lc_trt.compiler.passes.to_dense import densify
from lc_trt.data.classes import ClassSet
from lc_trt.errors import LcTrtError


class Teacher:
    """Class probabilities of a segmentation ONNX, by ONNX Runtime on the CPU.

    Args:
        path: what ``lc-trt build`` takes: a cascade or dense network of ``lc-trt export``, whose
            last head teaches, or a plain network with ImageNet's normalisation.
        classes: that it has to have.
        batch, size: of the images that it will be shown, size as (height, width).

    Raises:
        LcTrtError: no such file, no segmentation network, or one of other classes.
    """

    def __init__(self, path: Path, classes: ClassSet, batch: int, size: tuple[int, int]) -> None:
        model, info = open_exchange(load_onnx(path), path, size, None, None)
        if len(info.classes) != len(classes):
            raise LcTrtError(
                f"{path}: a teacher of {len(info.classes)} classes, expected the run's "
                f"{len(classes)} ({classes.name})"
            )
        if info.kind == "cascade":
            model = densify(model)
        model = freeze(model, batch, size)
        scores = [node for node in model.graph.node if node.op_type == "Softmax"]
        if not scores:
            raise LcTrtError(f"{path}: no Softmax, whose probabilities a teacher gives")
        self._name = scores[-1].output[0]
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(self._name, onnx.TensorProto.FLOAT, None)
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait for the next batch would take the student's cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities float32 [N, K, h, w] of uint8 BGR images [N, H, W, 3]."""
        (found,) = self._session.run([self._name], {"image": images})
        return np.asarray(found, np.float32)
