"""Runs a lowered ONNX: region operators by our kernels, the others by torch, node by node.

What it runs is what TensorRT's parser is given (`lc_trt.compiler.lower_tensorrt`), so what it
measures is the network that an engine runs. A node that it does not know is an error.

Nothing waits for the device, so a pass can be captured in a CUDA graph, which then serves any
image, thresholds and region: inputs, rows and what describes a region lie in memory that is
allocated beforehand, and the maps in between in what torch's allocator reserves for the graph.
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
        inputs: by name, the memory that a pass reads them from.
        outputs: names of what a pass returns.
        steps: what a pass does, in order.
        convs: the region convolutions among them.
    """

    def __init__(
        self, model: onnx.ModelProto, kernels: Kernels, form: str, also: Sequence[str] = ()
    ) -> None:
        """Make the steps.

        Args:
            model: as `Backend.lower` of TensorRT returns it, at a fixed size and batch.
            kernels: run the region operators.
            form: of the convolutions on the map, ``fused`` or ``plain``.
            also: tensors that a pass returns beside the model's outputs.

        Raises:
            LcTrtError: a node, or something about one, that is not implemented; it is named.
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
        self.convs, self.buffers = regions.convs, regions.buffers.all
        self.steps = fuse(steps, self.outputs, graph, form)
        last = {name: i for i, step in enumerate(self.steps) for name in step.reads}
        self._schedule = [
            (step, [n for n in {*step.reads, *step.writes} if last.get(n, -1) <= i])
            for i, step in enumerate(self.steps)
        ]

    @torch.inference_mode()
    def _fold(self, step: Step) -> None:
        """Run a step on constants now: weights in INT8 are dequantised once."""
        result = step.run(*(self._constants[name] for name in step.reads))
        assert isinstance(result, Tensor)
        self._constants[step.writes[0]] = _laid_out(result)

    @torch.inference_mode()
    def __call__(self) -> dict[str, Tensor]:
        """One pass on what lies in `inputs`; tensors by the names of `outputs`."""
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
        """Copy inputs to where a pass reads them.

        Args:
            image: uint8 [N, H, W, 3], BGR.
            rho: float32 [2], one threshold per boundary; None leaves them, or there are none.
        """
        self.inputs[IMAGE].copy_(torch.from_numpy(image))
        if rho is not None:
            self.inputs[RHO].copy_(torch.from_numpy(rho))

    def run(
        self, image: npt.NDArray[np.uint8], rho: npt.NDArray[np.float32] | None = None
    ) -> EngineOutput:
        """One pass, as `lc_trt.runtime.engines.base.Engine.run`.

        Args:
            image: as `put` takes it.
            rho: likewise.
        """
        self.put(image, rho)
        output = {name: value.cpu().numpy().copy() for name, value in self().items()}
        return EngineOutput(output[LABELS], output.get(STAGES), output[CONFIDENCE])


def _laid_out(constant: Tensor) -> Tensor:
    """Weights of convolutions on the map lie channels last, as the map does."""
    if constant.dim() == 4 and constant.is_floating_point():
        return constant.contiguous(memory_format=torch.channels_last)
    return constant
