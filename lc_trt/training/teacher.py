"""The teacher network of knowledge distillation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from lc_trt.compiler.frontend.import_model import ImportOptions, import_model
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.data.classes import ClassSet
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import IMAGE
from lc_trt.runtime.engines.onnxruntime import open_session


class Teacher:
    """Class probabilities from a segmentation ONNX, computed by ONNX Runtime on the CPU.

    Args:
        path: an ONNX file of any kind ``lc-trt build`` takes: a cascade or dense network from
            ``lc-trt export``, whose last head is used, or a plain segmentation network with
            ImageNet normalization.
        classes: the classes of the run.
        batch: images per call.
        size: (height, width) of the images in pixels.

    Raises:
        LcTrtError: no such file, not a segmentation network, or a different number of classes.
    """

    def __init__(self, path: Path, classes: ClassSet, batch: int, size: tuple[int, int]) -> None:
        imported = import_model(path, ImportOptions(size))
        model, info = imported.model, imported.info
        if len(info.classes) != len(classes):
            raise LcTrtError(
                f"{path}: the teacher has {len(info.classes)} classes, expected "
                f"{len(classes)} ({classes.name})"
            )
        if info.kind == "cascade":
            model = run_passes(model, [ToDense()])
        model = run_passes(model, [Freeze(batch, size)])
        scores = [node for node in model.graph.node if node.op_type == "Softmax"]
        if not scores:
            raise LcTrtError(f"{path}: the teacher has no Softmax, expected class probabilities")
        self._name = scores[-1].output[0]
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(self._name, onnx.TensorProto.FLOAT, None)
        )
        # Spinning threads would take cores from the student between batches.
        self._session = open_session(model.SerializeToString(), spinning=False)

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return probabilities, float32 [N, K, h, w], of BGR images, uint8 [N, H, W, 3]."""
        (probabilities,) = self._session.run([self._name], {IMAGE: images})
        return np.asarray(probabilities, np.float32)
