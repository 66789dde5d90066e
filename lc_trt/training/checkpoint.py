"""Weights as safetensors; a run's full state beside them. Both are replaced atomically."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lc_trt.errors import LcTrtError

FREE_FIELDS = {"data.root", "checkpoint_seconds", "workers"}


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Call ``write`` on a temporary neighbour, then rename it over ``path``.

    The neighbour's name is fixed: what a kill leaves behind is overwritten by the next save.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def save_weights(path: Path, model: nn.Module, metadata: dict[str, Any]) -> None:
    """The model's state as safetensors; ``metadata`` travels as JSON in its header."""
    save_tensors(path, model.state_dict(), metadata)


def save_tensors(path: Path, state: Mapping[str, Tensor], metadata: dict[str, Any]) -> None:
    """Any tensors by name, as `save_weights` writes a model's."""
    whole = {key: value.contiguous() for key, value in state.items()}
    header = {"lc_trt": json.dumps(metadata)}
    write_atomically(path, lambda p: save_file(whole, str(p), metadata=header))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and metadata of a file that `save_weights` wrote."""
    if not path.is_file():
        raise LcTrtError(f"{path}: no such file; expected weights written by 'lc-trt train'")
    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise LcTrtError(f"{path}: not a safetensors file ({error})") from error
    return state, json.loads(header.get("lc_trt", "{}"))


def load_into(model: nn.Module, path: Path) -> dict[str, Any]:
    """Load weights into a model of exactly that shape; returns the metadata."""
    state, metadata = load_weights(path)
    expected = model.state_dict()
    for name, tensor in expected.items():
        if name not in state:
            raise LcTrtError(f"{path}: lacks {name!r}, which the network has")
        if state[name].shape != tensor.shape:
            raise LcTrtError(
                f"{path}: {name!r} is {tuple(state[name].shape)}, the network expects "
                f"{tuple(tensor.shape)}; check --preset, --heads and --classes"
            )
    extra = sorted(set(state) - set(expected))
    if extra:
        raise LcTrtError(f"{path}: holds {extra[0]!r}, which the network does not have")
    model.load_state_dict(state)
    return metadata


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Everything a resumed run needs (optimiser, step, best figure)."""
    write_atomically(path, lambda p: torch.save(state, p))


def load_state(path: Path, device: str = "cpu") -> dict[str, Any]:
    """A state that `save_state` wrote; tensors and plain values only."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LcTrtError(
            f"{path}: not the state of a training run; start over with --fresh"
        ) from error
    return state


def check_same_run(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with another configuration than the run began with.

    What does not change the outcome may change: where the data lies, how often is saved, how
    many threads prepare batches.
    """
    before, ours = _flat(then), _flat(now)
    for name in sorted({*before, *ours} - FREE_FIELDS):
        if before.get(name) != ours.get(name):
            raise LcTrtError(
                f"{path}: was trained with {name} {before.get(name)!r}, not {ours.get(name)!r}; "
                "give the same value, another --out, or --fresh to start over"
            )


def _flat(values: object, name: str = "") -> dict[str, Any]:
    """Leaves by dotted name, as the command line and messages call them."""
    if isinstance(values, dict):
        items = [(f"{name}.{key}" if name else str(key), value) for key, value in values.items()]
    elif isinstance(values, list) and values and isinstance(values[0], dict):
        items = [(f"{name}.{i}", value) for i, value in enumerate(values)]
    else:
        return {name: values}
    return {key: leaf for each, value in items for key, leaf in _flat(value, each).items()}
