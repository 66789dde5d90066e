"""Runs a model in FP32 and returns its activations; those of regions row by row."""

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
    """ONNX Runtime on a model, with intermediate tensors as its outputs.

    Attributes:
        names: the tensors.
    """

    def __init__(
        self, model: onnx.ModelProto, names: Sequence[str], threads: int | None = None
    ) -> None:
        """Open a session.

        Args:
            model: an ONNX that ONNX Runtime runs; its own outputs are removed.
            names: the tensors to read.
            threads: CPU threads; None for all.
        """
        # Heavy, and not always needed.
        from lc_trt.runtime.engines.onnxruntime import open_session

        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        del exposed.graph.output[:]
        exposed.graph.output.extend(
            onnx.helper.make_empty_tensor_value_info(name) for name in names
        )
        self.names = list(names)
        self._session = open_session(exposed.SerializeToString(), threads=threads)

    def run(
        self, image: npt.NDArray[np.uint8], rho: tuple[float, float] | None
    ) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """Run one pass.

        Args:
            image: uint8 [1, H, W, 3], BGR.
            rho: thresholds, one per boundary; None for a dense network.

        Yields:
            Name and value of each tensor.
        """
        feed: dict[str, npt.NDArray[np.generic]] = {IMAGE: image}
        if rho is not None:
            feed[RHO] = np.array(rho, np.float32)
        yield from zip(self.names, self._session.run(self.names, feed), strict=True)


class ActivationCollector(TensorReader):
    """Reads the activations that a quantisation plan needs ranges of.

    Region activations have one row per pixel of the region: the model is lowered without padding,
    and the zero row of missing neighbours is appended behind the tensors that are read.
    """

    def __init__(self, graph: Graph, plan: QuantizationPlan, threads: int | None = None) -> None:
        """Lower a copy of the graph and open a session.

        Args:
            graph: folded (`lc_trt.compiler.pipeline.prepare`).
            plan: of this graph.
            threads: CPU threads; None for all.
        """
        lowered = graph.copy()
        apply_passes(lowered, [LowerStandard(named=plan.tensors)])
        super().__init__(lowered.encode(), plan.tensors, threads)
