"""Weights as safetensors and the full state of a run, both replaced atomically."""

from __future__ import annotations

import json
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lc_trt.errors import LcTrtError
from lc_trt.training.config import TrainConfig
from lc_trt.utils.files import atomic_file

FREE_FIELDS = {"data.root", "checkpoint_seconds", "workers"}
_ADVICE = "choose another --out"


def save_weights(path: Path, model: nn.Module, metadata: dict[str, Any]) -> None:
    """Write a model's state as safetensors.

    Args:
        path: the file, replaced atomically.
        model: its ``state_dict`` is written.
        metadata: stored as JSON in the file's header.
    """
    save_tensors(path, model.state_dict(), metadata)


def save_tensors(path: Path, state: Mapping[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors by name in the format of `save_weights`.

    Args:
        path: the file, replaced atomically.
        state: tensors by name.
        metadata: stored as JSON in the file's header.
    """
    contiguous = {key: value.contiguous() for key, value in state.items()}
    header = {"lc_trt": json.dumps(metadata)}
    with atomic_file(path, _ADVICE, exclusive=True) as partial:
        save_file(contiguous, str(partial), metadata=header)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file written by `save_weights`.

    Args:
        path: the safetensors file.

    Returns:
        Tensors by name, and the metadata.

    Raises:
        LcTrtError: no such file, or not safetensors.
    """
    if not path.is_file():
        raise LcTrtError(f"{path}: no such file; expected weights written by 'lc-trt train'")
    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise LcTrtError(f"{path}: not a safetensors file ({error})") from error
    return state, json.loads(header.get("lc_trt", "{}"))


def load_into(
    model: nn.Module, path: Path, optional: Collection[str] = (), left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Load weights into a model.

    Args:
        model: its parameter names and shapes must match the file exactly.
        path: a file written by `save_weights`.
        optional: names of tensors that the file may lack; the model keeps its own.
        left_out: starts of names of tensors in the file that are not loaded.

    Returns:
        The file's metadata.

    Raises:
        LcTrtError: unreadable file, or a missing, unexpected or differently shaped tensor.
    """
    state, metadata = load_weights(path)
    state = {name: value for name, value in state.items() if not name.startswith(left_out)}
    expected = model.state_dict()
    for name, tensor in expected.items():
        if name not in state:
            if name in optional:
                continue
            raise LcTrtError(f"{path}: lacks {name!r}, which the network expects")
        if state[name].shape != tensor.shape:
            raise LcTrtError(
                f"{path}: {name!r} is {tuple(state[name].shape)}, the network expects "
                f"{tuple(tensor.shape)}; check --preset, --heads and --classes"
            )
    extra = sorted(set(state) - set(expected))
    if extra:
        raise LcTrtError(f"{path}: holds {extra[0]!r}, which the network does not have")
    model.load_state_dict({**expected, **state})
    return metadata


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write everything that a resumed run needs: weights, optimizer, step, best mIoU.

    Args:
        path: the file, replaced atomically.
        state: tensors and plain values.
    """
    with atomic_file(path, _ADVICE, exclusive=True) as partial:
        torch.save(state, partial)


def load_state(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read a state written by `save_state`, without unpickling arbitrary objects.

    Args:
        path: the file.
        device: torch device of the tensors.

    Raises:
        LcTrtError: not such a file.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LcTrtError(f"{path}: not a training state; start over with --fresh") from error
    return state


def check_same_run(path: Path, saved: dict[str, Any], current: dict[str, Any]) -> None:
    """Check that a run resumes with the configuration that it started with.

    Fields that do not affect the result may differ: location of the data, checkpoint interval,
    number of workers. A field that is newer than the state file had its default.

    Args:
        path: the state file, for the message.
        saved: configuration stored in the state file.
        current: configuration of this run.

    Raises:
        LcTrtError: a field differs.
    """
    before, now = _flatten(_with_defaults(saved)), _flatten(current)
    for name in sorted({*before, *now} - FREE_FIELDS):
        if before.get(name) != now.get(name):
            raise LcTrtError(
                f"{path}: was trained with {name} {before.get(name)!r}, not {now.get(name)!r}; "
                "give the same value, another --out, or --fresh to start over"
            )


def _with_defaults(saved: dict[str, Any]) -> dict[str, Any]:
    try:
        return TrainConfig.model_validate(saved).as_dict()
    except ValidationError:  # of a field that no longer exists: named as a difference
        return saved


def _flatten(values: object, name: str = "") -> dict[str, Any]:
    """Values by dotted field name (``phases.0.loss``)."""
    if isinstance(values, dict):
        items = [(f"{name}.{key}" if name else str(key), value) for key, value in values.items()]
    elif isinstance(values, list) and values and isinstance(values[0], dict):
        items = [(f"{name}.{i}", value) for i, value in enumerate(values)]
    else:
        return {name: values}
    return {key: leaf for each, value in items for key, leaf in _flatten(value, each).items()}
