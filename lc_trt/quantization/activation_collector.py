"""Runs a model in FP32 and shows its activations: those of region operators row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard import LowerStandard
from lc_trt.compiler.pass_manager import apply_passes
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan
from lc_trt.ir.interface import IMAGE, RHO


class TensorReader:
    """ONNX Runtime on a model whose outputs are the tensors that are asked for."""

    def __init__(
        self, model: onnx.ModelProto, names: Sequence[str], threads: int | None = None
    ) -> None:
        """``model`` is one that ONNX Runtime runs; its own outputs go."""
        # Heavy, and not always needed.
        from lc_trt.runtime.engines.onnxruntime import open_session

        shown = onnx.ModelProto()
        shown.CopyFrom(model)
        del shown.graph.output[:]
        shown.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
        self.names = list(names)
        self._session = open_session(shown.SerializeToString(), threads=threads)

    def run(
        self, image: npt.NDArray[np.uint8], rho: tuple[float, float] | None
    ) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """Every tensor of one pass: image uint8 [1, H, W, 3], thresholds (None if dense)."""
        feed: dict[str, npt.NDArray[np.generic]] = {IMAGE: image}
        if rho is not None:
            feed[RHO] = np.array(rho, np.float32)
        yield from zip(self.names, self._session.run(self.names, feed), strict=True)


class Observer(TensorReader):
    """The lowered model, whose outputs are the plan's tensors.

    Regions are not padded and the row that stands for a missing neighbour is made behind the
    tensors, so what is seen inside a region are the rows that exist, no more.
    """

    def __init__(self, graph: Graph, plan: QuantizationPlan, threads: int | None = None) -> None:
        """Lowers a copy of a folded graph (`pipeline.prepare`)."""
        lowered = graph.copy()
        apply_passes(lowered, [LowerStandard(named=plan.tensors)])
        super().__init__(lowered.encode(), plan.tensors, threads)
