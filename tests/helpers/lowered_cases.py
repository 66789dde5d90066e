"""A tiny lowered cascade in ONNX Runtime and in the executor of tools/gpu."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from tiny_networks import frames

from lc_trt.ir.interface import IMAGE, RHO
from lc_trt.runtime.engines.onnxruntime import open_session

if TYPE_CHECKING:
    import torch
    from gpubench.executor import Executor

SIZE, BATCH = (32, 32), 2  # 32 pixels of the feature maps: one tile of rows
EMPTY, FULL = (-1.0, -1.0), (1.0, 1.0)


def images():
    return frames(BATCH, SIZE)


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Without optimisation, which computes INT8 in another order."""
    return open_session(model.SerializeToString(), threads=1, optimize=False)


def run_onnx(runner: onnxruntime.InferenceSession, rho=None) -> dict[str, np.ndarray]:
    names = [output.name for output in runner.get_outputs()]
    feed = {IMAGE: images()} | ({} if rho is None else {RHO: np.array(rho, np.float32)})
    return dict(zip(names, runner.run(names, feed), strict=True))


def widest_gap(values: np.ndarray) -> float:
    """Between two of the middle values, so that rounding moves none across it."""
    ordered = np.sort(values.ravel())
    ordered = ordered[len(ordered) // 4 : -(len(ordered) // 4)]
    at = int(np.diff(ordered).argmax())
    return float(ordered[at : at + 2].mean())


def partial_rho(runner: onnxruntime.InferenceSession) -> tuple[float, float]:
    first = widest_gap(run_onnx(runner, EMPTY)["confidence"])
    second = run_onnx(runner, (first, -1.0))
    return first, widest_gap(second["confidence"][second["stages"] == 2])


def executor(model, kernels, form="plain") -> Executor:
    """It returns the probabilities too."""
    from gpubench.executor import Executor
    from gpubench.reference import probabilities_of

    return Executor(model, kernels, form, (probabilities_of(model.graph.node),))


def put(cascade: Executor, rho) -> Executor:
    cascade.put(images(), np.array(rho, np.float32))
    return cascade


def node_of(graph: onnx.GraphProto, op_type: str) -> onnx.NodeProto:
    """The first of these."""
    return next(node for node in graph.node if node.op_type == op_type)


def with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """A model that returns these tensors too."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return shown


@contextmanager
def replaced(cascade: Executor, values: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The steps that make these tensors return these values."""
    steps = [step for step in cascade.steps if step.writes[0] in values]
    runs = [step.run for step in steps]
    for step in steps:
        step.run = lambda *_, value=values[step.writes[0]]: value
    yield
    for step, run in zip(steps, runs, strict=True):
        step.run = run
