"""Select the tactic of each region convolution by timing, as TensorRT does in a build."""

from __future__ import annotations

from collections.abc import Callable

from gpubench.executor import Executor
from gpubench.kernels import Kernels, RegionConv
from gpubench.timing import Backend, median

ROUNDS, COPIES = 10, 5


def tune(executor: Executor, backend: Backend) -> dict[str, int]:
    """Set the fastest tactic of each convolution on the regions of the executor's inputs.

    Convolutions of equal shape share a tactic.

    Args:
        executor: executor of a cascade.
        backend: measures device time.

    Returns:
        Tactic by node.
    """
    executor()
    chosen: dict[tuple[object, ...], int] = {}
    for conv in executor.convs:
        if conv.shape not in chosen:
            tactics = range(1, executor.kernels.tactics(conv.weight.dtype) + 1)
            times = {
                tactic: median(
                    backend,
                    backend.record(_launch(executor.kernels, conv, tactic), copies=COPIES),
                    ROUNDS,
                )
                for tactic in tactics
            }
            chosen[conv.shape] = min(times, key=lambda tactic: times[tactic])
        conv.tactic = chosen[conv.shape]
    return {conv.name: conv.tactic for conv in executor.convs}


def _launch(kernels: Kernels, conv: RegionConv, tactic: int) -> Callable[[], None]:
    return lambda: kernels.conv(conv, tactic)
