"""Runs a lowered ONNX node by node: region operators with our kernels, the others with torch.

It runs the input of TensorRT's parser (`lc_trt.compiler.lower_tensorrt`), so it measures the
network of an engine. An unknown node is an error.

Nothing synchronises with the device, so a pass can be captured in a CUDA graph, which is valid for
any image, thresholds and region: inputs, rows and region tables are in memory allocated in advance,
and other maps in memory that torch's allocator reserves for the graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor

from gpubench.convolution import FORMS, fuse
from gpubench.kernels import Kernels
from gpubench.nodes import TORCH_TYPES, OperatorNode, Step, device_tensor
from gpubench.region_operators import RegionOperators
from gpubench.standard_operators import standard_step
from lc_trt.compiler.graph import Graph
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import CONFIDENCE, DOMAIN, IMAGE, LABELS, RHO, STAGES
from lc_trt.runtime.engines.base import EngineOutput


class Executor:
    """A lowered model, cascade or dense, on the device of ``kernels``.

    Attributes:
        inputs: memory of the inputs, by name.
        outputs: names of the returned tensors.
        steps: steps of a pass, in order.
        convs: the region convolutions among them.
        selections: the RegionSelect nodes.
    """

    def __init__(
        self, model: onnx.ModelProto, kernels: Kernels, form: str, also: Sequence[str] = ()
    ) -> None:
        """Create the steps.

        Args:
            model: lowered model with a fixed size and batch.
            kernels: kernels for the region operators.
            form: form of the convolutions on the map, ``fused`` or ``plain``.
            also: tensors to return besides the model's outputs.

        Raises:
            LcTrtError: a node, attribute or input that is not implemented; names it.
        """
        if form not in FORMS:
            raise ValueError(f"form {form!r}: expected one of {', '.join(FORMS)}")
        self.kernels, device = kernels, kernels.device
        graph = Graph(model)
        self.outputs = (*(output.name for output in graph.outputs), *also)
        self.inputs: dict[str, Tensor] = {}
        for value in graph.inputs:
            shape, element = graph.shape(value.name), graph.type_of(value.name).element
            if shape is None:
                raise LcTrtError(
                    f"input {value.name!r} has a symbolic size; compile the model at a fixed one"
                )
            self.inputs[value.name] = torch.zeros(shape, dtype=TORCH_TYPES[element], device=device)
        regions = RegionOperators(graph, kernels)
        self._constants: dict[str, Tensor] = {}
        steps: list[Step] = []
        known = {*self.inputs}
        for number, proto in enumerate(graph.nodes):
            node = OperatorNode(proto, graph)
            step = regions.step(node) if proto.domain == DOMAIN else standard_step(node)
            for name in step.reads:
                if name in graph.constants and name not in self._constants:
                    constant = device_tensor(graph.constants[name], device)
                    self._constants[name] = _laid_out(constant)
                elif name not in known and name not in self._constants:
                    rows = ", rows of a region" if name in regions.tensors else ""
                    raise node.refusal(f"reads {name!r}{rows}, which no operator writes for it")
            if step.reads and self._constants.keys() >= {*step.reads}:
                self._fold(step)
            else:
                steps.append(step)
                known |= {*step.writes} - regions.tensors
            regions.buffers.release(number)
        missing = {*self.outputs} - known
        if missing:
            raise LcTrtError(f"no operator writes {sorted(missing)[0]!r}")
        self.convs, self.selections = regions.convs, regions.selections
        self.buffers = regions.buffers.all
        self.steps = fuse(steps, self.outputs, graph, form)
        last = {name: i for i, step in enumerate(self.steps) for name in step.reads}
        self._schedule = [
            (step, [n for n in {*step.reads, *step.writes} if last.get(n, -1) <= i])
            for i, step in enumerate(self.steps)
        ]

    @torch.inference_mode()
    def _fold(self, step: Step) -> None:
        """Run a step with constant inputs now, so that INT8 weights are dequantised once."""
        result = step.run(*(self._constants[name] for name in step.reads))
        assert isinstance(result, Tensor)
        self._constants[step.writes[0]] = _laid_out(result)

    @torch.inference_mode()
    def __call__(self) -> dict[str, Tensor]:
        """Run a pass on `inputs`; return tensors by the names of `outputs`."""
        values = dict(self.inputs)
        for step, dead in self._schedule:
            tensors = [values[n] if n in values else self._constants[n] for n in step.reads]
            result = step.run(*tensors)
            results = (result,) if isinstance(result, Tensor) else result
            values.update(zip(step.writes, results, strict=True))
            for name in dead:
                if name not in self.inputs and name not in self.outputs:
                    values.pop(name, None)
        return {name: values[name] for name in self.outputs}

    def put(self, image: npt.NDArray[np.uint8], rho: npt.NDArray[np.float32] | None = None) -> None:
        """Copy inputs to `inputs`.

        Args:
            image: uint8 [N, H, W, 3], BGR.
            rho: float32 [2], one threshold per boundary; None keeps them, or for a dense network.
        """
        self.inputs[IMAGE].copy_(torch.from_numpy(image))
        if rho is not None:
            self.inputs[RHO].copy_(torch.from_numpy(rho))

    def run(
        self, image: npt.NDArray[np.uint8], rho: npt.NDArray[np.float32] | None = None
    ) -> EngineOutput:
        """Run a pass like `lc_trt.runtime.engines.base.Engine.run`.

        Args:
            image: uint8 [N, H, W, 3], BGR.
            rho: float32 [2], one threshold per boundary; None for a dense network.
        """
        self.put(image, rho)
        output = {name: value.cpu().numpy().copy() for name, value in self().items()}
        return EngineOutput(output[LABELS], output.get(STAGES), output[CONFIDENCE])


def _laid_out(constant: Tensor) -> Tensor:
    """Convert weights of convolutions on the map to channels last, like the map."""
    if constant.dim() == 4 and constant.is_floating_point():
        return constant.contiguous(memory_format=torch.channels_last)
    return constant
